"""Owns the way from a response's bytes to a provider's chunks, in whatever coat they come.

The first bytes decide what the body is, not its content type: an event stream, a whole completion, one JSON value
a line, or something that is no answer. Errors inside it are raised. Knows nothing of what a chunk means.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import httpx2
import orjson

from outlive.shared.errors import UpstreamBroken, UpstreamError
from outlive.worker.upstream.error_bodies import error_in, read_error
from outlive.worker.upstream.provider_errors import failure_of, not_an_answer
from outlive.worker.upstream.sse_parser import SseEvent, SseParser, check_size

_DONE: Final = b"[DONE]"
_REST_S: Final = 0.1
"""After its last word a provider's socket is read on for so long, so that it can be used for the next request."""
_ALIVE: Final = re.compile(rb"\W*(ping|pong|keep-?_?alive|heartbeat|processing|waiting|ok)\W*", re.IGNORECASE)
"""Data that only shows life, as gateways send it outside the protocol."""
_SIDE_EVENTS: Final = frozenset({b"", b"message", b"error", b"chunk", b"data", b"completion"})
"""Events of other names may hold what is not a chunk: they belong to another protocol, and are passed over."""
_JSON_BEGINS: Final = '{["-0123456789'
_FIELDS: Final = (b"data:", b"event:")
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"

Read = Callable[[], Awaitable[bytes]]
"""The next bytes of a body, which must not be compressed (`read_limits.py`); none at its end."""


class Done:
    """The provider's `[DONE]`: the stream ended as a whole one does."""


DONE: Final = Done()


async def chunks_of(read: Read, content_type: str = "") -> AsyncIterator[Any]:
    """Each chunk as a decoded JSON object, and `DONE` where the provider sent it. Raises `UpstreamError`, and what
    `read` raises."""
    first = await _first_bytes(read)
    begin = first.removeprefix(_BOM).lstrip(_BLANK)[:1]
    if begin in (b"{", b"["):
        source = _json_values(first, read)
    elif begin == b"<":
        raise not_an_answer(content_type, await _whole(first, read))
    else:
        source = _events(first, read)
    count, rest = 0, b""
    async for value in source:
        if isinstance(value, bytes):
            rest = value
            continue
        if value is DONE:
            yield DONE
            await _read_rest(read)
            return
        for chunk in _chunks(value):
            count += 1
            yield chunk
    if not count and rest.strip():
        # A page of text, of which no line was an event.
        raise not_an_answer(content_type, rest)


async def _first_bytes(read: Read) -> bytes:
    """As many as say what the body is. Blank lines before it only show life, and are not kept."""
    first = b""
    while _BOM.startswith(first) or not first.removeprefix(_BOM).lstrip(_BLANK):
        if not (piece := await read()):
            break
        first = first.rstrip(_BLANK) + piece
    return first


async def _events(first: bytes, read: Read) -> AsyncIterator[Any]:
    """The values of an event stream. What held no event comes last, as bytes."""
    parser, plain, has_events = SseParser(), first, False
    piece = first
    while piece:
        for event in parser.feed(piece):
            has_events = True
            for value in _values(event):
                yield value
        piece = await read()
        if not has_events and len(plain) < _REMEMBERED_BYTES:
            plain += piece
    for event in parser.end():
        has_events = True
        try:
            values = list(_values(event))
        except UpstreamError as error:
            raise UpstreamBroken("upstream_truncated", "The provider's stream ended inside an event.") from error
        for value in values:
            yield value
    if not has_events:
        # Some gateways answer with the head of an event stream, and then a plain error.
        yield plain if not plain.lstrip(_BLANK).startswith(b":") else b""


_REMEMBERED_BYTES: Final = 4096


def _values(event: SseEvent) -> Iterator[Any]:
    data = event.data
    if data.lstrip().startswith(_DONE):
        yield DONE
        return
    try:
        yield _decoded(data)
    except (ValueError, RecursionError) as error:
        if len(event.lines) > 1:
            # Several events without a blank line between them.
            for line in event.lines:
                yield from _values(SseEvent(event.name, [line]))
        elif event.name in _SIDE_EVENTS and not _ALIVE.fullmatch(data):
            raise _not_json(data) from error


async def _json_values(first: bytes, read: Read) -> AsyncIterator[Any]:
    """A body that begins as JSON: one value a line, as they come; else the whole body as one value."""
    held, is_lines = bytearray(first.removeprefix(_BOM).lstrip(_BLANK)), True
    while True:
        while is_lines and (end := held.find(b"\n")) >= 0:
            line = bytes(held[:end]).strip()
            if line.startswith(_FIELDS):
                # Behind the answer, or an error, the stream that it should have been.
                async for value in _events(bytes(held), read):
                    yield value
                return
            try:
                value = _decoded(line) if line else None
            except (ValueError, RecursionError):
                # Written over several lines: read as a whole.
                is_lines = False
                break
            del held[: end + 1]
            if value is not None:
                yield value
        check_size(len(held))
        if not (piece := await read()):
            break
        held += piece
    text = bytes(held).strip()
    if text.startswith(_FIELDS):
        async for value in _events(text, read):
            yield value
    elif text:
        try:
            yield _decoded(text)
        except (ValueError, RecursionError) as error:
            raise _not_json(text) from error


def _chunks(value: Any) -> Iterator[dict[str, Any]]:
    """The chunks in one value. Errors in it are raised; what only shows life is passed over."""
    for one in value if isinstance(value, list) else (value,):
        if not isinstance(one, dict):
            if one is value and not isinstance(one, float):
                # A lone null, word or whole number shows life; NaN is a broken chunk.
                continue
            raise UpstreamBroken(
                "upstream_protocol", "The provider sent something that is not a chat completion chunk."
            )
        if (error := error_in(one)) is not None:
            raise failure_of(error)
        if "choices" in one or "usage" in one:
            yield one


def _not_json(data: bytes) -> UpstreamError:
    """Plain text where a chunk belongs is most often an error of a server that died."""
    text = data.decode("utf-8", "replace").strip()
    if text[:1] in _JSON_BEGINS or not text.isprintable():
        return UpstreamBroken("upstream_protocol", "The provider sent something that is not a chat completion stream.")
    return failure_of(read_error(text))


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's parser takes what orjson refuses and providers send: half an emoji, NaN among the logprobs.
        return json.loads(data)


async def _whole(first: bytes, read: Read) -> bytes:
    body = first
    while len(body) < _REMEMBERED_BYTES and (piece := await read()):
        body += piece
    return body


async def _read_rest(read: Read) -> None:
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_REST_S):
            while await read():
                pass
