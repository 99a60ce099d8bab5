"""Owns a connection from the moment it carries one viewer's events and nothing else.

A request comes here through uvicorn, FastAPI and sse-starlette, and is answered by them up to the
end of the headers. From then on a layer that wraps `send`, and a task that waits for the client to
leave, cost more than the write itself; so the connection is taken out of uvicorn's hands, as uvicorn
does itself for WebSockets; `uvicorn_protocols.py` is uvicorn's side of that. Knows nothing of generations.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from starlette.types import Scope

from outlive.api.fanout.sink import nobody

HAND_OVER: Final = "outlive.hand_over"
"""Our ASGI extension: the name under which `Http` offers its connection to the response."""
CUT: Final = "outlive.cut"
"""Another: under which `Socket` offers what ASGI has no word for."""

_BUFFER_BYTES: Final = 32_768
"""What may wait here for one viewer beyond the kernel's own buffer, give or take one write."""

_latest: Final = [b"", b"0\r\n\r\n"]
"""What was framed last, and its chunk."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing discards and resets."""


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
        reset(self._transport)

    def has_stalled(self, now: float, stall_s: float) -> bool:
        waiting_bytes = self._transport.get_write_buffer_size()
        accepted_bytes = self._written_bytes - waiting_bytes
        if not waiting_bytes or accepted_bytes != self._accepted_bytes:
            self._accepted_bytes, self._since = accepted_bytes, now
        return now - self._since > stall_s

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # uvloop does not take a word for one that has gone; `connection_lost` follows.
        if not transport.is_closing():
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


def cut_of(scope: Scope) -> Callable[[], None]:
    """What ends this WebSocket at once. Needs a server that speaks by `uvicorn_protocols.py`."""
    return cast(Callable[[], None], scope["extensions"][CUT]["now"])


def take_over(scope: Scope) -> Connection:
    """This request's connection, whose response has been started. Needs the server of `uvicorn_protocols.py`."""
    connection = Connection()
    scope["extensions"][HAND_OVER]["to"](connection)
    return connection


def _unheard(_: bool) -> None:
    """Until somebody listens."""


def _chunk(data: bytes) -> bytes:
    # Nearly all viewers of a generation are given the same bytes object one after another; those of
    # many generations are not, and looking for equal bytes would cost them more than framing theirs.
    if data is not _latest[0]:
        _latest[:] = data, b"%x\r\n%b\r\n" % (len(data), data)
    return _latest[1]


def reset(transport: asyncio.Transport) -> None:
    """End it at once, without what waits."""
    # Otherwise the kernel keeps what it has not got rid of, and with it the socket, for as long as
    # the other side acknowledges probes of its closed window.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
