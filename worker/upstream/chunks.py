"""Owns the way from an answer's bytes to chunks: it cuts events, reads their JSON, and raises the errors that come
inside a stream. Knows nothing of what a chunk means.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import httpx2
import orjson

from outlive.worker.upstream.provider_errors import streamed_error, translate
from outlive.worker.upstream.sse_parser import Frames

_DONE: Final = b"[DONE]"
_REST_S: Final = 0.1
"""After the last event the socket is read for so long, so that the next request can use it."""


Read = Callable[[], Awaitable[bytes]]
"""The next bytes of a body, which must not be compressed (`read_limits.py`); none at its end."""


async def chunks_of(read: Read) -> AsyncIterator[Any]:
    """Each chunk as decoded JSON. Raises `UpstreamBroken`, and what `read` raises."""
    frames = Frames()
    while piece := await read():
        for data in frames.feed(piece):
            if data.startswith(_DONE):
                await _read_rest(read)
                return
            yield _read(data)


def _read(data: bytes) -> Any:
    try:
        chunk = _decoded(data)
    except (ValueError, RecursionError) as error:
        # Not JSON, not UTF-8, a number of too many digits, or nested too deeply.
        raise translate(error) from error
    if isinstance(chunk, dict) and (failure := chunk.get("error")):
        raise streamed_error(failure)
    return chunk


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's reader takes what orjson refuses and providers send: half an emoji, NaN among the logprobs.
        return json.loads(data)


async def _read_rest(read: Read) -> None:
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_REST_S):
            while await read():
                pass
