"""Owns how much of a provider's response we hold when it is not an event stream.

HTTP clients inflate compressed bodies, and the SDK reads a body that is not a stream as a whole: a few kilobytes that
inflate to gigabytes, or a page without end, must cost one answer and not the worker. The events of a stream have their
own bound (`sse_parser.py`).
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.sse_parser import MAX_BYTES

PLAIN: Final = {"Accept-Encoding": "identity"}
"""Sent with each request, so that nothing comes compressed: we hold as many bytes as we count."""

# Not "all but text/event-stream": some compatible servers stream as text/plain, or without a type.
_NOT_STREAMS: Final = frozenset({"application/json", "text/html"})

_TOO_LARGE: Final = f"The provider sent a response of more than {MAX_BYTES} bytes that is not a stream."


async def bound(response: httpx2.Response) -> None:
    """Response hook: a body that is not a stream raises `UpstreamBroken` as soon as it is too large."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamBroken("upstream_protocol", "The provider compressed its response, though we asked it not to.")
    if not is_stream(response):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = Bounded(response.stream)


def is_stream(response: httpx2.Response) -> bool:
    """Whether to read the response event by event."""
    return response.is_success and content_type(response) not in _NOT_STREAMS


def content_type(response: httpx2.Response) -> str:
    """The media type without its parameters; empty if there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


class Bounded(httpx2.AsyncByteStream):
    """A body that fails when it is larger than `MAX_BYTES`."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        async for chunk in self._body:
            read_bytes += len(chunk)
            if read_bytes > MAX_BYTES:
                raise UpstreamBroken(
                    "upstream_protocol",
                    f"The provider sent a response of more than {MAX_BYTES} bytes that is not a stream.",
                )
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
