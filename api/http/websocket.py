"""Owns the WebSocket of a generation: the same events as JSON messages, and `cancel` from the viewer.

The hub writes the frames it writes to every viewer; here they get another envelope and are not decoded. So
resuming, folding and the limits on slow viewers are those of SSE. Knows nothing of feeds.
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
from outlive.api.generations.generations import Generations
from outlive.api.generations.watch import Ticket
from outlive.api.http.callers import viewer_of
from outlive.api.http.token_cookie import is_same_origin
from outlive.api.services import AuthenticatorDep, ClientAddress, GenerationsDep, SettingsDep, WatchDep
from outlive.api.transport.connection import cut_of
from outlive.shared.errors import (
    GenerationGone,
    GenerationNotFound,
    IssuerUnavailable,
    LogUnavailable,
    MalformedCursor,
    OutliveError,
    ProcessFull,
    TooManyViewers,
    Unauthenticated,
)
from outlive.shared.model.codec import decode_json
from outlive.shared.model.events import TERMINAL_BYTES

router = APIRouter()


class Close(IntEnum):
    """Close codes. A browser does not show its page why a handshake was refused, so refusals are codes too."""

    DONE = 1000
    """The terminal was sent, now or before."""
    RESUME = 1012
    """Reconnect with the last id: this process drains or is full, or Redis is away."""
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
    ProcessFull: Close.RESUME,
    LogUnavailable: Close.RESUME,
    IssuerUnavailable: Close.RESUME,
}


@router.websocket("/v1/generations/{generation_id}/ws")
async def watch_socket(
    socket: WebSocket,
    generation_id: str,
    settings: SettingsDep,
    authenticator: AuthenticatorDep,
    watch: WatchDep,
    generations: GenerationsDep,
    address: ClientAddress,
    after: str | None = None,
) -> None:
    """Watch over a WebSocket."""
    if not is_same_origin(socket) and socket.headers.get("origin") not in settings.origins:
        # Before `accept`, so that the server refuses the handshake with 403.
        await socket.close()
        return
    await socket.accept()
    try:
        caller = await viewer_of(socket, authenticator, generation_id)
        ticket = await watch.open(caller, generation_id, after, NATIVE, address)
        if ticket is None:
            await socket.close(Close.DONE)
            return
        canceller = generations if caller.may_cancel else None
        try:
            await _follow(socket, ticket, caller.tenant, canceller)
        finally:
            ticket.detach()
    except tuple(_REFUSALS) as refused:
        await socket.close(_REFUSALS[type(refused)], refused.code)


async def _follow(socket: WebSocket, ticket: Ticket, tenant: str, canceller: Generations | None) -> None:
    """Until the viewer leaves or the stream has ended. With `canceller` it may stop the generation."""
    sink = SendSink(WebSocketSend(socket.send), cut_of(socket.scope))
    sink.write(ticket.opening())
    await ticket.attach(sink)
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        if canceller is not None and _asks_cancel(message.get("text")):
            with suppress(GenerationGone, LogUnavailable):
                await canceller.cancel(ticket.generation_id, tenant)


class WebSocketSend:
    """An ASGI `send` for one viewer's HTTP response, which sends it as WebSocket messages."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_done = False

    async def __call__(self, message: Message) -> None:
        # A viewer that has left is noticed by `receive`; until then there is nobody to send to.
        with suppress(WebSocketDisconnect):
            for event, text in messages(message["body"]):
                self._is_done = event in TERMINAL_BYTES
                await self._send({"type": "websocket.send", "text": text})
            if not message["more_body"]:
                code = Close.DONE if self._is_done else Close.RESUME
                await self._send({"type": "websocket.close", "code": code, "reason": ""})


def messages(body: bytes) -> Iterator[tuple[bytes, str]]:
    """The type and the JSON text of each frame; heartbeats and `retry` are messages too."""
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
    """All other messages of a viewer are ignored, as viewers ignore events they do not know."""
    if text is None:
        return False
    try:
        message = decode_json(text)
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("type") == "cancel"
