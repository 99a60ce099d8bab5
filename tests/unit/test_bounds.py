"""What a provider may make us hold, chunk by chunk."""

from collections.abc import AsyncIterator, Iterable

import httpx2
import pytest

from shared.errors import UpstreamBroken
from worker.upstream.bounds import MOST_BYTES, Bounded, bound

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R29")]

KILOBYTE = b"x" * 1024
EVENT = b"data: " + KILOBYTE


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


async def _read(body: _Body, *, by_event: bool = True) -> int:
    return sum([len(chunk) async for chunk in Bounded(body, by_event=by_event)])


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("cut", range(4))
async def test_events_of_any_number_pass(end: bytes, cut: int) -> None:
    """However their ends are spelled, and wherever the network cuts them."""
    events = (EVENT + end) * 8
    chunks = [events[:cut], *[events[cut:] + events[:cut]] * 300, events[cut:]]
    assert await _read(_Body(chunks)) == 301 * len(events) > 2 * MOST_BYTES


@pytest.mark.parametrize("line", [KILOBYTE, EVENT + b"\n", b": comment\r\n" * 100])
async def test_an_event_without_end_is_cut_off(line: bytes) -> None:
    """One line, many lines, and comments that never come to a blank line."""
    body = _Body([b"data: 1\n\n"] + [line] * 4096)
    with pytest.raises(UpstreamBroken) as caught:
        await _read(body)
    assert caught.value.failed_code == "upstream_protocol"
    assert body.given * len(line) < MOST_BYTES + 3 * len(line)


async def test_what_is_no_event_stream_is_bounded_as_a_whole() -> None:
    """A page may have as many blank lines as it likes."""
    with pytest.raises(UpstreamBroken):
        await _read(_Body([KILOBYTE + b"\n\n"] * 1024), by_event=False)
    assert await _read(_Body([KILOBYTE] * 1024), by_event=False) == MOST_BYTES


async def test_what_is_compressed_is_not_read() -> None:
    """A few kilobytes may hold gigabytes."""
    body = _Body([b"..."])
    with pytest.raises(UpstreamBroken, match="compressed"):
        await bound(httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=body))
    assert body.given == 0


async def test_closing_reaches_the_socket() -> None:
    """The bound stands between the SDK and the connection."""
    body = _Body([])
    response = httpx2.Response(200, headers={"Content-Type": "Text/Event-Stream; charset=utf-8"}, stream=body)
    await bound(response)
    assert isinstance(response.stream, Bounded)
    await response.stream.aclose()
    assert body.closed
