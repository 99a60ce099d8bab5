"""Owns the WebSocket of a generation: the same events as JSON messages down, `cancel` up.

What goes down is what the hub writes to every viewer: frames encoded once for all, here put into
another envelope without decoding them. So resuming, folding and the limits on slow viewers are the
hub's, the same as over SSE. Knows nothing of feeds.
"""

from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.types import Message, Send
from starlette.websockets import WebSocketDisconnect

from outlive.api.fanout.sink import SendSink
from outlive.api.formats.native import NATIVE
from outlive.api.generations import end
from outlive.api.http.callers import is_same_origin, viewer_of
from outlive.api.services import Provided, Services
from outlive.api.transport.connection import cut_of
from outlive.shared.errors import (
    GenerationGone,
    GenerationNotFound,
    IssuerUnavailable,
    LogUnavailable,
    MalformedCursor,
    OutliveError,
    TooManyViewers,
    Unauthenticated,
)
from outlive.shared.model.codec import decode_json
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import TERMINAL
from outlive.shared.model.generation import is_id

router = APIRouter()


class Close(IntEnum):
    """Close codes. A browser shows a page nothing of a refused handshake, so refusals come as codes too."""

    DONE = 1000
    """The terminal was sent, now or before."""
    RESUME = 1012
    """Come back with the last id: this process drains, or the log is out of reach."""
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    NOT_FOUND = 4404
    GONE = 4410
    TOO_MANY = 4429


_REFUSALS: Final[dict[type[OutliveError], Close]] = {
    MalformedCursor: Close.MALFORMED,
    Unauthenticated: Close.UNAUTHENTICATED,
    GenerationNotFound: Close.NOT_FOUND,
    GenerationGone: Close.GONE,
    TooManyViewers: Close.TOO_MANY,
    LogUnavailable: Close.RESUME,
    IssuerUnavailable: Close.RESUME,
}
_TERMINALS: Final = frozenset(kind.value.encode() for kind in TERMINAL)


@router.websocket("/v1/generations/{generation_id}/ws")
async def watch(socket: WebSocket, generation_id: str, services: Provided, after: str | None = None) -> None:
    """Watch over a WebSocket."""
    if not is_same_origin(socket) and socket.headers.get("origin") not in services.settings.origins:
        # Before it is accepted, which the server answers with 403.
        await socket.close()
        return
    await socket.accept()
    try:
        caller = await viewer_of(socket, services, generation_id)
        if not is_id(generation_id):
            raise GenerationNotFound
        cursor = Cursor.parse_resume(after)
        meta = await services.reader.meta(generation_id, caller.tenant)
        if meta.terminal is not None and cursor == meta.terminal:
            await socket.close(Close.DONE)
            return
        if services.crowd.is_full:
            await socket.close(Close.RESUME)
            return
        leave = services.crowd.enter(socket, generation_id)
        try:
            await _follow(socket, services, generation_id, cursor, may_cancel=caller.may_cancel)
        finally:
            leave()
    except tuple(_REFUSALS) as refused:
        await socket.close(_REFUSALS[type(refused)], refused.code)


async def _follow(
    socket: WebSocket, services: Services, generation_id: str, after: Cursor, *, may_cancel: bool
) -> None:
    sink = SendSink(Downward(socket.send), cut_of(socket.scope))
    sink.write(NATIVE.opening(services.hub.retry_s()))
    viewer = await services.hub.attach(generation_id, after, sink, NATIVE)
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            if may_cancel and _asks_cancel(message.get("text")):
                with suppress(GenerationGone, LogUnavailable):
                    await services.tasks.finish(end.cancel(services, generation_id))
    finally:
        services.hub.detach(viewer)


class Downward:
    """Where the hub writes one viewer's response: an ASGI `send` that speaks WebSocket."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_done = False

    async def __call__(self, message: Message) -> None:
        # Whoever left is noticed where we read; until then there is nobody to write to.
        with suppress(WebSocketDisconnect):
            for event, text in messages(message["body"]):
                self._is_done = event in _TERMINALS
                await self._send({"type": "websocket.send", "text": text})
            if not message["more_body"]:
                code = Close.DONE if self._is_done else Close.RESUME
                await self._send({"type": "websocket.close", "code": code, "reason": ""})


def messages(body: bytes) -> Iterator[tuple[bytes, str]]:
    """The type and the JSON text of each of these frames; heartbeats and `retry` are messages too."""
    for block in body.split(b"\n\n"):
        if block.startswith(b":"):
            yield b"heartbeat", '{"event":"heartbeat"}'
        elif block.startswith(b"retry: "):
            yield b"retry", f'{{"event":"retry","data":{{"ms":{int(block[7:])}}}}}'
        elif block:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            head = b'"id":"%b",' % fields[b"id"] if b"id" in fields else b""
            text = b'{%b"event":"%b","data":%b}' % (head, fields[b"event"], fields[b"data"])
            yield fields[b"event"], text.decode()


def _asks_cancel(text: str | None) -> bool:
    """Whatever else a viewer says is ignored, as viewers ignore events they do not know."""
    if text is None:
        return False
    try:
        said = decode_json(text)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("type") == "cancel"
