"""Owns the way from an answer's bytes to a provider's chunks: events cut out, JSON read, the
errors that are told inside a stream raised. Knows nothing of what a chunk means.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import httpx2
import orjson

from outlive.worker.upstream.provider_errors import told_error, translate
from outlive.worker.upstream.sse_parser import Frames

_DONE: Final = b"[DONE]"
_REST_S: Final = 0.1
"""After its last word a provider's socket is read on for so long, to be used for the next question."""


Read = Callable[[], Awaitable[bytes]]
"""The next bytes of a body, which must not be compressed (`bounds.py`); none at its end."""


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
        # No JSON, no UTF-8; a number of too many digits; nested too deeply.
        raise translate(error) from error
    if isinstance(chunk, dict) and (told := chunk.get("error")):
        raise told_error(told)
    return chunk


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's takes what orjson refuses and providers send: half an emoji, NaN among the logprobs.
        return json.loads(data)


async def _read_rest(read: Read) -> None:
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_REST_S):
            while await read():
                pass
