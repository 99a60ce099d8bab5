"""What a provider may make us hold that is no event of its stream."""

from collections.abc import AsyncIterator, Iterable

import httpx2
import pytest

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.read_limits import Bounded, bound
from outlive.worker.upstream.sse_parser import MAX_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R29")]

KILOBYTE = b"x" * 1024


class _Body(httpx2.AsyncByteStream):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.given = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.given += 1
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def _response(body: _Body, status: int = 200, kind: str = "Text/Event-Stream; charset=utf-8") -> httpx2.Response:
    return httpx2.Response(status, headers={"Content-Type": kind}, stream=body)


async def _read(body: _Body) -> int:
    return sum([len(chunk) async for chunk in Bounded(body)])


async def test_what_is_no_event_stream_is_bounded_as_a_whole() -> None:
    """A page may have as many blank lines as it likes."""
    with pytest.raises(UpstreamBroken) as caught:
        await _read(_Body([KILOBYTE + b"\n\n"] * 1024))
    assert caught.value.failed_code == "upstream_protocol"
    assert await _read(_Body([KILOBYTE] * 1024)) == MAX_BYTES


@pytest.mark.parametrize(
    ("status", "kind", "bounded"),
    [
        (200, "text/event-stream", False), (200, "Text/Event-Stream; charset=utf-8", False), (200, "text/plain", False),
        (200, "application/json", True), (200, "text/html", True), (500, "text/event-stream", True),
    ],
)  # fmt: skip
async def test_only_a_stream_is_left_to_the_bound_of_its_events(status: int, kind: str, bounded: bool) -> None:
    """A refusal is read as a whole, whatever it calls itself."""
    response = _response(_Body([]), status, kind)
    await bound(response)
    assert isinstance(response.stream, Bounded) == bounded


async def test_what_is_compressed_is_not_read() -> None:
    """A few kilobytes may hold gigabytes."""
    body = _Body([b"..."])
    with pytest.raises(UpstreamBroken, match="compressed"):
        await bound(httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=body))
    assert body.given == 0


async def test_closing_reaches_the_socket() -> None:
    """The bound stands between the SDK and the connection."""
    body = _Body([])
    response = _response(body, kind="application/json")
    await bound(response)
    assert isinstance(response.stream, Bounded)
    await response.stream.aclose()
    assert body.closed
