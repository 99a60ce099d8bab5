"""Owns how much a provider may make us hold before there is a whole event to look at.

The SDK's decoder keeps a line until it ends, and HTTP clients inflate what comes compressed: a line
without end, or a few kilobytes that unpack to gigabytes, must cost one answer and not the worker.
Knows nothing of what an event means.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from shared.errors import UpstreamBroken

MOST_BYTES: Final = 1_048_576
"""Of one event, or of a whole body that is no event stream. Events of chat completions are below
1 kB; a megabyte leaves room for whole answers in one, and 100 of them still fit into a worker."""

PLAIN: Final = {"Accept-Encoding": "identity"}
"""Sent with each request, so that nothing comes compressed: what is counted is what is held."""

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LONGEST_END: Final = 4


async def bound(response: httpx2.Response) -> None:
    """Response hook: the body raises `UpstreamBroken` as soon as it is too large."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamBroken("upstream_protocol", "The provider compressed its answer, though asked not to.")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = Bounded(response.stream, by_event=content_type(response) == "text/event-stream")


def content_type(response: httpx2.Response) -> str:
    """Without its parameters; empty if there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


class Bounded(httpx2.AsyncByteStream):
    """A body that is cut off when too much of it comes without the end of an event."""

    def __init__(self, body: httpx2.AsyncByteStream, *, by_event: bool) -> None:
        self._body = body
        self._by_event = by_event
        self._held_bytes = 0
        self._tail = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            if self._count(chunk) > MOST_BYTES:
                raise UpstreamBroken("upstream_protocol", "The provider sent more at once than an event may hold.")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()

    def _count(self, chunk: bytes) -> int:
        """Bytes since the last event ended, this chunk included. An end may lie across two chunks."""
        self._held_bytes += len(chunk)
        if self._by_event:
            window = self._tail + chunk
            ends = [at + len(end) for end in _EVENT_ENDS if (at := window.rfind(end)) >= 0]
            if ends:
                self._held_bytes = len(window) - max(ends)
            self._tail = window[1 - _LONGEST_END :]
        return self._held_bytes
