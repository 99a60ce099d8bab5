"""Owns how much a provider may make us hold that is no event of its stream.

HTTP clients inflate what comes compressed, and the SDK reads what is no stream as a whole: a few
kilobytes that unpack to gigabytes, or a page without end, must cost one answer and not the worker.
The events of a stream have their own bound (`frames.py`).
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.sse_parser import MAX_BYTES

PLAIN: Final = {"Accept-Encoding": "identity"}
"""Sent with each request, so that nothing comes compressed: what is counted is what is held."""

# Not "all but text/event-stream": some compatible servers stream as text/plain, or without a type.
_NO_STREAM: Final = frozenset({"application/json", "text/html"})


async def bound(response: httpx2.Response) -> None:
    """Response hook: a body that is no stream raises `UpstreamBroken` as soon as it is too large."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamBroken("upstream_protocol", "The provider compressed its answer, though asked not to.")
    if not is_stream(response):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = Bounded(response.stream)


def is_stream(response: httpx2.Response) -> bool:
    """Whether it is to be read event by event."""
    return response.is_success and content_type(response) not in _NO_STREAM


def content_type(response: httpx2.Response) -> str:
    """Without its parameters; empty if there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


class Bounded(httpx2.AsyncByteStream):
    """A body that is cut off when there is too much of it."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        async for chunk in self._body:
            read_bytes += len(chunk)
            if read_bytes > MAX_BYTES:
                raise UpstreamBroken("upstream_protocol", "The provider sent more at once than an event may hold.")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
