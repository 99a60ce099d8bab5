"""Owns how much of a provider's response we hold when it is not an event stream.

HTTP clients inflate compressed bodies, and the SDK reads a body that is not a stream as a whole: a few kilobytes that
inflate to gigabytes, or a page without end, must cost one answer and not the worker. The events of a stream have their
own bound (`sse_parser.py`).
"""

import zlib
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.sse_parser import MAX_BYTES

PLAIN: Final = {"Accept-Encoding": "identity"}
"""Sent with each request, so that nothing comes compressed: we hold as many bytes as we count."""

_UNCOMPRESSED: Final = frozenset({"", "identity", "none", "utf-8"})
"""Values of Content-Encoding that say nothing was compressed; the last two are mistakes of real servers."""
_TOO_LARGE: Final = f"The provider sent an error of more than {MAX_BYTES} bytes."
_MAX_ERROR_BYTES: Final = 65_536
"""Of an error that came compressed, once it is inflated."""


async def bound(response: httpx2.Response) -> None:
    """Response hook: a body of an error is bounded as a whole, and raises as soon as it is too large. A status is
    judged before its encoding, so a compressed error is inflated, within a bound; a compressed answer raises
    `UpstreamBroken`."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    if response.is_success:
        if encoding not in _UNCOMPRESSED:
            raise UpstreamBroken(
                "upstream_protocol", f"The provider sent its answer as {encoding}, although asked for plain text."
            )
    else:
        response.stream = Bounded(response.stream)
        if encoding not in _UNCOMPRESSED:
            response.stream = Inflated(response.stream)
    # The client would inflate without a bound of its own.
    response.headers.pop("content-encoding", None)


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


class Inflated(httpx2.AsyncByteStream):
    """The beginning of a compressed error; empty if it is in an encoding that is not read here."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        packed = b"".join([piece async for piece in self._body])
        try:
            # 32: whether it is gzip or zlib is read from its first bytes.
            yield zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(packed, _MAX_ERROR_BYTES)
        except zlib.error:
            return

    async def aclose(self) -> None:
        await self._body.aclose()
