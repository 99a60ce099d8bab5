"""Owns a proxy for event streams that cuts, splits, adds noise and refuses.

All it does is allowed: a client that follows the specification sees the same events. All choices come from one
seed. Knows HTTP only as far as one GET a connection needs.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.support.raw_http import Headers, exchange

_BOM: Final = b"\xef\xbb\xbf"
_NOISE: Final = (b": comment\n", b":\n", b"retry: 7\n", b"retry: soon\n", b"id: \0nul\n", b"nonsense\n", b"x: y\n")


@dataclass
class StreamFaults:
    """What the proxy does to a stream."""

    line_end: bytes = b"\n"
    bom: bool = False
    noise: bool = False
    """Adds comments, `retry`, ids with NUL and unknown fields before any line."""
    pieces: tuple[int, int] = (1, 65_536)
    """Min and max bytes per write; chosen at random."""
    cut_after: tuple[int, int] | None = None
    """Min and max bytes after which a connection is cut; chosen at random."""
    cut_frames: bool = True
    """Whether it also cuts inside a frame; if not, it cuts after that frame."""
    retry_ms: int | None = None
    """Sent at the beginning of each response."""
    first_responses: list[bytes] = field(default_factory=list)
    """Whole responses that the first requests get instead of the stream."""
    silent_after: int | None = None
    """Bytes after which the first connection stays open and sends nothing."""


class SseFaultProxy:
    """The proxy and its record of requests. Made by `sse_fault_proxy`."""

    def __init__(self, upstream: str, faults: StreamFaults, seed: int) -> None:
        self.url = ""
        self.paths: list[str] = []
        """The requested paths, in order."""
        self.last_event_ids: list[str] = []
        """The `Last-Event-ID` of the requests that had one."""
        self.statuses: list[int] = []
        """The statuses of the API's responses."""
        self._upstream = upstream
        self._faults = faults
        self._chance = random.Random(seed)
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection in a task that `close` ends."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # The task cannot close it: a task that is cancelled before it begins runs no code.
        task.add_done_callback(lambda _: writer.close())

    async def close(self) -> None:
        """Close all connections."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        for outcome in await asyncio.gather(*serving, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.paths.append(path)
            sent_id = re.search(rb"^last-event-id: *(.*?)\r$", head, re.IGNORECASE | re.MULTILINE)
            if sent_id:
                self.last_event_ids.append(sent_id[1].decode())
            if self._faults.first_responses:
                writer.write(self._faults.first_responses.pop(0))
                await writer.drain()
            else:
                await self._pass_on(path, [("Last-Event-ID", self.last_event_ids[-1])] if sent_id else [], writer)
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def _pass_on(self, path: str, headers: Headers, writer: asyncio.StreamWriter) -> None:
        accept = ("Accept", "text/event-stream")
        async with exchange("GET", self._upstream + path, headers=[accept, *headers]) as made:
            self.statuses.append(made.status)
            kind = made.headers.get("content-type", "text/plain")
            writer.write(f"HTTP/1.1 {made.status} -\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
            patience = self._chance.randint(*self._faults.cut_after) if self._faults.cut_after else None
            sent = 0
            change = self._changing() if kind.startswith("text/event-stream") else lambda data: data
            while data := await made.read():
                for piece in self._split(change(data)):
                    if patience is not None and (end := self._cut(piece, patience - sent)) is not None:
                        writer.write(piece[:end])
                        writer.transport.close()
                        return
                    if self._faults.silent_after is not None and sent + len(piece) > self._faults.silent_after:
                        self._faults.silent_after = None
                        await asyncio.get_running_loop().create_future()
                    writer.write(piece)
                    sent += len(piece)
                    await writer.drain()
                    # Let the event loop write, so that pieces arrive as they were cut.
                    await asyncio.sleep(0)

    def _changing(self) -> Callable[[bytes], bytes]:
        """A function that changes the bytes of one response."""
        rest = b""
        at_start = True

        def change(data: bytes) -> bytes:
            nonlocal rest, at_start
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            out = _BOM if at_start and self._faults.bom else b""
            if at_start and self._faults.retry_ms is not None:
                out += b"retry: %d" % self._faults.retry_ms + 2 * self._faults.line_end
            at_start = False
            for line in lines:
                if self._faults.noise and self._chance.random() < 0.3:
                    out += self._chance.choice(_NOISE).replace(b"\n", self._faults.line_end)
                out += line + self._faults.line_end
            return out

        return change

    def _cut(self, piece: bytes, left: int) -> int | None:
        """The position at which this piece is cut; None if it is not."""
        if len(piece) <= left:
            return None
        if self._faults.cut_frames:
            return left
        end = piece.find(b"\n\n", max(left, 0))
        return None if end < 0 else end + 2

    def _split(self, data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = self._chance.randint(*self._faults.pieces)
            pieces.append(data[:size])
            data = data[size:]
        return pieces


@asynccontextmanager
async def sse_fault_proxy(upstream: str, faults: StreamFaults, seed: int = 0) -> AsyncIterator[SseFaultProxy]:
    """Run a proxy in front of an API for as long as the block lasts."""
    made = SseFaultProxy(upstream, faults, seed)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await made.close()


def error_response(status: int, body: str = "", *headers: str) -> bytes:
    """A whole response, as a proxy or load balancer in front of the API would send it."""
    head = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()
