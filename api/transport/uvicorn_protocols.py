"""Owns uvicorn's side of a connection: which requests it accepts, and how it gives a connection away.

uvicorn reads heads of any length, and waits for ever for the rest of a request and for clients that do not
read their response. Here all three have a limit. Only this file and `server.py` know uvicorn;
tests/unit/test_uvicorn_contract.py pins the private parts they use.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from outlive.api.transport.connection import CUT, HAND_OVER, ChunkFraming, Connection, reset
from outlive.shared.model.codec import encode_json


def _refusal(status: int, code: str, detail: str) -> bytes:
    """A whole response for bytes that are not a request; it ends the connection."""
    phrase = HTTPStatus(status).phrase
    body = encode_json({"type": "about:blank", "title": phrase, "status": status, "detail": detail, "code": code})
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


_COLON_AND_LINE_END: Final = 4

_WAITING_BYTES: Final = 4096
"""When more than this waits for the client, its progress is checked. uvicorn's own limit is the event loop's."""

_LINGER_S: Final = 2.0
"""For a refused client that still sends, to read why. Closing a socket with unread bytes resets it, and then the
client loses the response, too (RFC 9112, 9.6)."""

_HEAD_TOO_LARGE: Final = _refusal(
    431,
    "head_too_large",
    "The request line and the headers are too long for this server. Send fewer headers.",
)
_NOT_HTTP: Final = _refusal(400, "bad_request", "These bytes are not an HTTP request.")


class RequestLimits(NamedTuple):
    """The limits of every connection."""

    head_bytes: int
    """The request line and all headers."""
    request_s: float
    """Until a whole request has arrived."""
    stall_s: float
    """A response is dropped if its client accepts nothing for this time."""


class LimitedHttp(HttpToolsProtocol):
    """An HTTP connection, until it is given away."""

    def __init__(self, *args: Any, limits: RequestLimits, framing: ChunkFraming, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._framing = framing
        self._head_bytes = 0
        self._waiting_bytes = 0
        self._in_head = True
        self._has_message_ended = False
        self._is_refused = False
        self._closes = False
        """The client asked that its connection be closed after this response."""
        self._request_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WAITING_BYTES)
        self._start_request_timer()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._has_message_ended = False
        super().data_received(data)
        if self._in_head and not self._has_message_ended:
            # The parser reports a header only when it is complete.
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
        self._in_head = self._has_message_ended = True
        if not self._is_refused:
            self._stop_request_timer()
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if not self._is_refused:
            self._stop_request_timer()
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_NOT_HTTP)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_request_timer()
        self._stop_stall_timer()
        # uvicorn informs the request that came last; the request that is being served may be another one.
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_stall_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_request_timer()
        self.scope["extensions"] = {HAND_OVER: {"to": self._hand_over, "framing": self._framing}}

    def _hand_over(self, connection: Connection) -> None:
        self.connections.discard(self)
        self._stop_request_timer()
        self._stop_stall_timer()
        # Lets the request's task end, which otherwise completes its response. Requests queued behind it are
        # dropped with the connection.
        assert self._running is not None
        self._running.disconnected = True
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        if self.transport.is_closing():
            connection.connection_lost(None)

    def _start_request_timer(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self._limits.request_s, self.transport.close)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _start_stall_timer(self) -> None:
        waiting_bytes = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self._limits.stall_s, self._reset_if_stalled, waiting_bytes)

    def _reset_if_stalled(self, before_bytes: int) -> None:
        """`close` would not be enough: it waits until the client has accepted everything."""
        if self.transport.get_write_buffer_size() >= before_bytes:
            reset(self.transport)
        else:
            self._start_stall_timer()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.keep_alive else self._close_later(cycle, app))

    def _close_later(self, cycle: RequestResponseCycle, app: Any) -> Any:
        """uvicorn closes after the response, and resets a client that still sends: here `on_response_complete` does."""

        async def run(scope: Any, receive: Any, send: Any) -> None:
            async def send_on(message: Any) -> None:
                await send(message)
                if message["type"] == "http.response.start":
                    # The head that says `Connection: close` is written.
                    cycle.keep_alive = self._closes = True

            await app(scope, receive, send_on)

        return run

    def on_response_complete(self) -> None:
        if self._closes and not self.transport.is_closing():
            if self._in_head:
                self.transport.close()
            else:
                self._is_refused = True
                self._linger()
        super().on_response_complete()

    def _refuse(self, response: bytes) -> None:
        if not self._is_refused and not self.transport.is_closing():
            self.transport.write(response)
            if self._running is None or self._running.response_complete:
                self._linger()
            else:
                # An earlier request of this connection is still being served; lingering is not possible.
                self.transport.close()
        self._is_refused = True

    def _linger(self) -> None:
        self.transport.write_eof()
        self._stop_request_timer()
        self._request_timer = self.loop.call_later(_LINGER_S, self.transport.close)


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket stays with uvicorn: frames and masks cost the same wherever they are made."""

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {**(self.scope.get("extensions") or {}), CUT: {"now": self._cut}}
        await super().run_asgi()

    def _cut(self) -> None:
        reset(self.transport)
