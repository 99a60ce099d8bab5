"""Owns a TCP link with faults: cut, black hole, latency, throttle, half-close, refusal.

It is between one process of ours and one server, so that a fault hits that process alone. Knows no protocol. A
`ConnectionObserver` sees the bytes of one connection and may hold or drop them.
"""

import asyncio
import contextlib
import socket
import struct
import weakref
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from tests.support.ports import claim_port, release_port

_READ_BYTES: Final = 65_536
_LINGER_0: Final = struct.pack("ii", 1, 0)
"""With this option, closing a socket sends RST, as the kernel of a restarted host or a firewall would."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ConnectionObserver(Protocol):
    """Sees the bytes of one connection before the proxy passes them on. If it returns False, the proxy cuts the
    connection instead; if it returns bytes, the proxy passes on those."""

    async def from_client(self, data: bytes) -> bool:
        """Bytes from the client. They are held for as long as this waits."""
        ...

    async def from_server(self, data: bytes) -> bool | bytes:
        """Bytes from the server."""
        ...


class CutConnection:
    """Cuts a connection when its server replies; without `requests_pass` before the server gets the request. With
    both it cuts nothing."""

    def __init__(self, *, requests_pass: bool = True, replies_pass: bool = False) -> None:
        self._requests_pass = requests_pass
        self._replies_pass = replies_pass

    async def from_client(self, data: bytes) -> bool:
        return self._requests_pass

    async def from_server(self, data: bytes) -> bool:
        return self._replies_pass


class TcpFaultProxy:
    """One listening port that passes everything on to one server. Without a fault it changes nothing."""

    def __init__(self, port: int, observe: Callable[[], ConnectionObserver] | None = None) -> None:
        self.port = claim_port()
        self.target = port
        """The port of the server; a change holds for later connections."""
        self.latency_s = 0.0
        """Delay of every piece, in both directions."""
        self.bytes_per_s: float | None = None
        """Limit in each direction; None for no limit."""
        self.refuses = False
        """Whether it resets new connections at once, as a host without a server does."""
        self._observe = observe
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._half_closed: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Reset all connections and give the port back."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)
        release_port(self.port)

    def cut(self) -> None:
        """Reset every connection at both ends; accept new ones."""
        for task, writers in list(self._connections.items()):
            for writer in writers:
                _reset(writer)
            task.cancel()

    def black_hole(self) -> None:
        """From now on pass nothing in either direction, without notice: a partition. New connections are accepted,
        but reach no server."""
        self._passing.clear()

    def heal(self) -> None:
        """End all faults. What a black hole held arrives now, late, as TCP would deliver it."""
        self.latency_s, self.bytes_per_s, self.refuses = 0.0, None, False
        self._passing.set()

    def half_close(self) -> None:
        """The servers see the end of their clients' requests; they may still reply."""
        for writers in self._connections.values():
            for writer in writers[1:]:
                self._half_closed.add(writer)
                with contextlib.suppress(OSError):
                    writer.write_eof()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = [writer]
        try:
            await self._connect(task, (reader, writer))
        except (OSError, asyncio.CancelledError):
            # Only `cut` cancels this task, and only to end its connection.
            pass
        finally:
            for each in self._connections.pop(task):
                _reset(each)

    async def _connect(self, task: asyncio.Task[None], client: Streams) -> None:
        await self._passing.wait()
        if self.refuses:
            return
        server = await asyncio.open_connection("127.0.0.1", self.target)
        self._connections[task].append(server[1])
        observer = self._observe() if self._observe else None
        pumps = [
            asyncio.create_task(self._pump(client[0], server[1], observer.from_client if observer else None)),
            asyncio.create_task(self._pump(server[0], client[1], observer.from_server if observer else None)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            for pump in done:
                await pump
            for _, writer in (client, server):
                writer.close()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        observe: Callable[[bytes], Awaitable[bool | bytes]] | None,
    ) -> None:
        while data := await reader.read(_READ_BYTES):
            # These two sleeps are the faults themselves.
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
            await self._passing.wait()
            passed = True if observe is None else await observe(data)
            if passed is False:
                raise ConnectionResetError("cut by its observer")
            if writer in self._half_closed:
                raise ConnectionResetError("half-closed")
            writer.write(data if passed is True else passed)
            await writer.drain()
        await self._passing.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    writer.transport.abort()
