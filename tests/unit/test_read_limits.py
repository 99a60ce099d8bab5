"""What a provider may make us hold that is no event of its stream."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterable

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


@pytest.mark.parametrize(("status", "bounded"), [(200, False), (500, True), (404, True)])
async def test_a_refusal_is_bounded_as_a_whole(status: int, bounded: bool) -> None:
    """Whatever it calls itself; an answer has the bound of its events."""
    response = _response(_Body([]), status)
    await bound(response)
    assert isinstance(response.stream, Bounded) == bounded


async def test_a_compressed_answer_is_not_read() -> None:
    """A few kilobytes may hold gigabytes."""
    body = _Body([b"..."])
    with pytest.raises(UpstreamBroken, match="gzip"):
        await bound(httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=body))
    assert body.given == 0


@pytest.mark.parametrize("encoding", ["none", "identity", "", "utf-8"])
async def test_an_encoding_that_says_nothing_is_passed_over(encoding: str) -> None:
    """Mistakes of real servers."""
    response = httpx2.Response(200, headers={"Content-Encoding": encoding}, stream=_Body([KILOBYTE]))
    await bound(response)
    assert await response.aread() == KILOBYTE


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_compressed_error_is_read_within_a_bound(pack: Callable[[bytes], bytes]) -> None:
    """Its status is judged before its encoding; of a bomb only the beginning is inflated."""
    for message, held in ((b"max_tokens is too large", 23), (b"x" * 100_000_000, 65_536)):
        response = httpx2.Response(400, headers={"Content-Encoding": "gzip"}, stream=_Body([pack(message)]))
        await bound(response)
        assert await response.aread() == message[:held]


async def test_closing_reaches_the_socket() -> None:
    """The bound stands between the SDK and the connection."""
    body = _Body([])
    response = _response(body, 500)
    await bound(response)
    assert isinstance(response.stream, Bounded)
    await response.stream.aclose()
    assert body.closed
