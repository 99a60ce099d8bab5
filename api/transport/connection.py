"""Owns a connection from the moment it carries one viewer's events and nothing else.

uvicorn and FastAPI handle a request up to the end of the response headers. After that, layers that wrap
`send`, and a task that waits for the client to leave, would cost more than the write itself. So the
connection is taken away from uvicorn, as uvicorn itself does for WebSockets; `uvicorn_protocols.py` is
uvicorn's side of it. Knows nothing of generations.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from starlette.types import Scope

from outlive.api.fanout.sink import nobody

HAND_OVER: Final = "outlive.hand_over"
"""The ASGI extension by which `LimitedHttp` offers its connection to the response."""
CUT: Final = "outlive.cut"
"""The ASGI extension by which `CuttableWebSocket` offers to end its connection at once, which ASGI cannot."""

_BUFFER_BYTES: Final = 32_768
"""For one viewer, beyond the kernel's buffer, plus or minus one write."""

_LAST_CHUNK: Final = b"0\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 s: closing discards the buffer and resets."""


class ChunkFraming:
    """HTTP's chunked framing for all connections of one process; keeps the last chunk.

    Nearly all viewers of a generation get the same bytes object one after another, so it is framed once. It is
    compared by identity: viewers of different generations get different bytes, and comparing them would cost
    more than framing."""

    __slots__ = ("_chunk", "_data")

    def __init__(self) -> None:
        self._data = b""
        self._chunk = b""

    def chunk(self, data: bytes) -> bytes:
        """One chunk with this data, which must not be empty."""
        if data is not self._data:
            self._data, self._chunk = data, b"%x\r\n%b\r\n" % (len(data), data)
        return self._chunk


class Connection(asyncio.Protocol):
    """A sink (`sink.py`) that writes to a transport in HTTP's chunked framing."""

    __slots__ = (
        "_accepted_bytes",
        "_framing",
        "_since",
        "_transport",
        "_written_bytes",
        "is_full",
        "is_lost",
        "on_lost",
        "on_room",
    )

    def __init__(self, framing: ChunkFraming) -> None:
        self.is_full = False
        self.is_lost = False
        self.on_room: Callable[[], None] = nobody
        self.on_lost: Callable[[bool], None] = _ignore_loss
        """Called once. True: the kernel closed the connection because nothing was acknowledged for too long."""
        self._framing = framing
        self._written_bytes = 0
        self._accepted_bytes = 0
        self._since = 0.0

    def write(self, data: bytes) -> None:
        framed = self._framing.chunk(data)
        self._written_bytes += len(framed)
        self._transport.write(framed)

    def end(self, data: bytes) -> None:
        self._transport.write((self._framing.chunk(data) if data else b"") + _LAST_CHUNK)
        self._transport.close()

    def cut(self) -> None:
        reset(self._transport)

    def has_stalled(self, now: float, stall_s: float) -> bool:
        waiting_bytes = self._transport.get_write_buffer_size()
        accepted_bytes = self._written_bytes - waiting_bytes
        if not waiting_bytes or accepted_bytes != self._accepted_bytes:
            self._accepted_bytes, self._since = accepted_bytes, now
        return now - self._since > stall_s

    # The transport calls the methods below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # uvloop refuses this for a closed transport; `connection_lost` follows.
        if not transport.is_closing():
            self._transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Ignored: the connection ends with this response."""

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_full = self.is_lost = True
        on_lost, self.on_lost, self.on_room = self.on_lost, _ignore_loss, nobody
        on_lost(isinstance(exc, TimeoutError))


def cut_of(scope: Scope) -> Callable[[], None]:
    """Ends this WebSocket at once when called. Needs the server of `uvicorn_protocols.py`."""
    return cast(Callable[[], None], scope["extensions"][CUT]["now"])


def take_over(scope: Scope) -> Connection:
    """This request's connection, whose response has been started. Needs the server of `uvicorn_protocols.py`."""
    extension = scope["extensions"][HAND_OVER]
    connection = Connection(extension["framing"])
    extension["to"](connection)
    return connection


def _ignore_loss(_: bool) -> None:
    """Until a viewer is attached."""


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once, and discard its buffer."""
    # Otherwise the kernel keeps the buffer, and with it the socket, as long as the other side acknowledges
    # probes of its closed window.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
