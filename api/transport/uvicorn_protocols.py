"""Owns uvicorn's side of a connection: what it takes for a request, and how it gives a connection away.

uvicorn reads heads of any length, and waits for ever for the rest of a request and for whoever does
not take its answer; here all three have a limit. This file and `server.py` know uvicorn, no other.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from outlive.api.transport.connection import CUT, HAND_OVER, Connection, reset
from outlive.shared.model.codec import encode_json


def _refusal(status: int, code: str, detail: str) -> bytes:
    """A whole answer to what never became a request, and the end of its connection."""
    phrase = HTTPStatus(status).phrase
    body = encode_json({"type": "about:blank", "title": phrase, "status": status, "detail": detail, "code": code})
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


_COLON_AND_LINE_END: Final = 4

_WAITING_BYTES: Final = 4096
"""As soon as more than this waits for the client, it is looked at; uvicorn's own limit is the event loop's."""

_LINGER_S: Final = 2.0
"""For who still sends to read why it was refused: closing with something unread is a reset, which takes
the answer from the other side as well (RFC 9112, 9.6)."""

_HEAD_TOO_LARGE: Final = _refusal(
    431, "head_too_large", "The request line and headers are longer than this server accepts."
)
_NO_REQUEST: Final = _refusal(400, "bad_request", "This is no HTTP request.")


class RequestLimits(NamedTuple):
    """What a request may cost before it is one."""

    head_bytes: int
    request_s: float
    stall_s: float
    """An answer of which nothing is accepted for so long is dropped."""


class LimitedHttp(HttpToolsProtocol):
    """An HTTP connection, until it is given away."""

    def __init__(self, *args: Any, limits: RequestLimits, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._head_bytes = 0
        self._waiting_bytes = 0
        self._in_head = True
        self._has_ended_one = False
        self._is_refused = False
        self._arriving: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WAITING_BYTES)
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._has_ended_one = False
        super().data_received(data)
        if self._in_head and not self._has_ended_one:
            # Of one header that has no end yet the parser tells nothing.
            self._waiting_bytes += len(data)
            if self._waiting_bytes > self._limits.head_bytes:
                self._refuse(_HEAD_TOO_LARGE)

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + _COLON_AND_LINE_END
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_bytes > self._limits.head_bytes:
            self._refuse(_HEAD_TOO_LARGE)
        else:
            super().on_headers_complete()
        self._head_bytes = self._waiting_bytes = 0

    def on_message_complete(self) -> None:
        self._in_head = self._has_ended_one = True
        if not self._is_refused:
            self._arrived()
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if not self._is_refused:
            self._arrived()
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_NO_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self._accepted()
        # uvicorn tells it to the request that came last, which need not be the one being answered.
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._accepted()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect()
        self.scope["extensions"] = {HAND_OVER: {"to": self._hand_over}}

    def _hand_over(self, connection: Connection) -> None:
        self.connections.discard(self)
        self._arrived()
        self._accepted()
        # Lets its task end: what it has not completed is no longer its to complete. Requests may be
        # queued behind it, and are left with the connection.
        assert self._running is not None
        self._running.disconnected = True
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

    def _look_later(self) -> None:
        waiting_bytes = self.transport.get_write_buffer_size()
        self._stalling = self.loop.call_later(self._limits.stall_s, self._look, waiting_bytes)

    def _look(self, before_bytes: int) -> None:
        """Closing is not enough: it waits until all is accepted."""
        if self.transport.get_write_buffer_size() >= before_bytes:
            reset(self.transport)
        else:
            self._look_later()

    def _accepted(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, answer: bytes) -> None:
        if not self._is_refused and not self.transport.is_closing():
            self.transport.write(answer)
            if self._running is None or self._running.response_complete:
                self.transport.write_eof()
                self._arrived()
                self._arriving = self.loop.call_later(_LINGER_S, self.transport.close)
            else:
                # Whoever is being answered meanwhile writes on.
                self.transport.close()
        self._is_refused = True


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket stays uvicorn's: what frames and masks cost is not ours to save."""

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {**(self.scope.get("extensions") or {}), CUT: {"now": self._cut}}
        await super().run_asgi()

    def _cut(self) -> None:
        reset(self.transport)
