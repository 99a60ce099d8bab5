"""Owns a connection from the moment it carries one viewer's events and nothing else.

A request comes here through uvicorn, FastAPI and sse-starlette, and is answered by them up to the
end of the headers. From then on a layer that wraps `send`, and a task that waits for the client to
leave, cost more than the write itself; so the connection is taken out of uvicorn's hands, as uvicorn
does itself for WebSockets. Knows nothing of generations.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.sink import nobody
from shared.codec import encode_json

_HAND_OVER: Final = "tokencast.hand_over"
"""Our ASGI extension: the name under which `Http` offers its connection to the response."""
_CUT: Final = "tokencast.cut"
"""Another: under which `Socket` offers what ASGI has no word for."""

_BUFFER_BYTES: Final = 32_768
"""What may wait here for one viewer beyond the kernel's own buffer, give or take one write."""

_FRAMED: Final = 64
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing discards and resets."""


def refusal(status: int, code: str, detail: str) -> bytes:
    """A whole answer to what never became a request, and the end of its connection."""
    phrase = HTTPStatus(status).phrase
    body = encode_json({"type": "about:blank", "title": phrase, "status": status, "detail": detail, "code": code})
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


_COLON_AND_LINE_END: Final = 4
_HEAD_TOO_LARGE: Final = refusal(
    431, "head_too_large", "The request line and headers are longer than this server accepts."
)
_NO_REQUEST: Final = refusal(400, "bad_request", "This is no HTTP request.")


class RequestLimits(NamedTuple):
    """What a request may cost before it is one."""

    head_bytes: int
    request_s: float


class Connection(asyncio.Protocol):
    """A sink (`sink.py`) that is a transport, in HTTP's chunked framing."""

    __slots__ = (
        "_accepted_bytes",
        "_since",
        "_transport",
        "_written_bytes",
        "is_full",
        "is_lost",
        "on_lost",
        "on_room",
    )

    def __init__(self) -> None:
        self.is_full = False
        self.is_lost = False
        self.on_room: Callable[[], None] = nobody
        self.on_lost: Callable[[bool], None] = _unheard
        """Told whether the kernel gave it up, because nothing was acknowledged for too long."""
        self._written_bytes = 0
        self._accepted_bytes = 0
        self._since = 0.0

    def write(self, data: bytes) -> None:
        framed = _chunk(data)
        self._written_bytes += len(framed)
        self._transport.write(framed)

    def end(self, data: bytes) -> None:
        self._transport.write((_chunk(data) if data else b"") + b"0\r\n\r\n")
        self._transport.close()

    def cut(self) -> None:
        _reset(self._transport)

    def has_stalled(self, now: float, stall_s: float) -> bool:
        waiting_bytes = self._transport.get_write_buffer_size()
        accepted_bytes = self._written_bytes - waiting_bytes
        if not waiting_bytes or accepted_bytes != self._accepted_bytes:
            self._accepted_bytes, self._since = accepted_bytes, now
        return now - self._since > stall_s

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Nothing more is expected: the connection ends with this response."""

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_full = self.is_lost = True
        on_lost, self.on_lost, self.on_room = self.on_lost, _unheard, nobody
        on_lost(isinstance(exc, TimeoutError))


class Http(HttpToolsProtocol):
    """uvicorn's side of a connection, until it is given away. uvicorn reads heads of any length, and waits
    for the rest of a request for ever; here both have a limit."""

    def __init__(self, *args: Any, limits: RequestLimits, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._head_bytes = 0
        self._waiting_bytes = 0
        self._in_head = True
        self._has_ended_one = False
        self._is_refused = False
        self._arriving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        self._has_ended_one = False
        super().data_received(data)
        if self._in_head and not self._has_ended_one:
            # Of one header that has no end yet the parser tells nothing.
            self._waiting_bytes += len(data)
            if self._waiting_bytes > self._limits.head_bytes:
                self._refuse_head()

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + _COLON_AND_LINE_END
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_bytes > self._limits.head_bytes:
            self._refuse_head()
        else:
            super().on_headers_complete()
        self._head_bytes = self._waiting_bytes = 0

    def on_message_complete(self) -> None:
        self._in_head = self._has_ended_one = True
        self._arrived()
        if not self._is_refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._arrived()
        if not self._is_refused:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_NO_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect()
        self.scope["extensions"] = {_HAND_OVER: {"to": self._hand_over}}

    def _hand_over(self, connection: Connection) -> None:
        self.connections.discard(self)
        self._arrived()
        # Lets its task end: what it has not completed is no longer its to complete.
        self.cycle.disconnected = True
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        if self.transport.is_closing():
            connection.connection_lost(None)

    def _expect(self) -> None:
        if self._arriving is None:
            self._arriving = self.loop.call_later(self._limits.request_s, self.transport.close)

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _refuse_head(self) -> None:
        self._refuse(_HEAD_TOO_LARGE)

    def _refuse(self, answer: bytes) -> None:
        if not self._is_refused and not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
        self._is_refused = True


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket stays uvicorn's: what frames and masks cost is not ours to save."""

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {**(self.scope.get("extensions") or {}), _CUT: {"now": self._cut}}
        await super().run_asgi()

    def _cut(self) -> None:
        _reset(self.transport)


def cut_of(scope: Scope) -> Callable[[], None]:
    """What ends this WebSocket at once. Needs a server made by `server.py`."""
    return cast(Callable[[], None], scope["extensions"][_CUT]["now"])


def take_over(scope: Scope) -> Connection:
    """This request's connection, whose response has been started. Needs a server made by `server.py`."""
    connection = Connection()
    scope["extensions"][_HAND_OVER]["to"](connection)
    return connection


def _unheard(_: bool) -> None:
    """Until somebody listens."""


@lru_cache(_FRAMED)
def _chunk(data: bytes) -> bytes:
    # Nearly all viewers of a generation are given the same bytes object one after another.
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reset(transport: asyncio.Transport) -> None:
    # Otherwise the kernel keeps what it has not got rid of, and with it the socket, for as long as
    # the other side acknowledges probes of its closed window.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
