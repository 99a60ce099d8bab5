"""Owns the time: plays a script step by step into a response, at its pace.

Waits and writes, and does not know the contents of answers. Steps are due at absolute times: if one wait
takes too long the next is shorter, so the pace holds. All deltas that are due are sent in one write. So an
answer without a pace, or a server that fell behind, does not write once per delta.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

from outlive.deploy.demo_model.control import Gates, RequestRecord
from outlive.deploy.demo_model.faults import AT_THE_END, Breaker, Send
from outlive.deploy.demo_model.openai_shapes import Chunks, Whole
from outlive.deploy.demo_model.quirks.chunk_rewrites import DONE
from outlive.deploy.demo_model.script import Delta, Fault, Finish, Gate, Step, Wait

# Large enough to make the cost of a write small, small enough that other streams get their share.
_WRITE_BYTES: Final = 16_384


class Sink(Protocol):
    """The destination of a script."""

    async def delta(self, delta: Delta) -> None: ...
    async def frame(self, frame: bytes) -> None: ...
    async def flush(self) -> None: ...
    async def fault(self, fault: str) -> None: ...
    async def finish(self, finish: Finish) -> None: ...


async def play(script: Iterator[Step | bytes], sink: Sink, gates: Gates, record: RequestRecord) -> None:
    """Play the whole script. Cancelled when the client leaves. Raises `faults.Over`."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for step in script:
        if isinstance(step, Wait):
            due += step.s
            if due > loop.time():
                await sink.flush()
                await asyncio.sleep(due - loop.time())
        elif isinstance(step, Gate):
            await sink.flush()
            record.at_gate = step.name
            await gates.wait(step.name)
            record.at_gate = None
            due = loop.time()
        elif isinstance(step, Fault):
            await sink.flush()
            await sink.fault(step.name)
        elif isinstance(step, Finish):
            await sink.finish(step)
        elif isinstance(step, bytes):
            await sink.frame(step)
        else:
            await sink.delta(step)


class Streamed:
    """Plays into server-sent events."""

    def __init__(
        self, chunks: Chunks, send: Send, record: RequestRecord, breaker: Breaker, ends_with: str | None
    ) -> None:
        """`ends_with` is the fault at the end, if any."""
        self._chunks = chunks
        self._send = send
        self._record = record
        self._breaker = breaker
        self._ends_with = ends_with if ends_with in AT_THE_END else None
        self._due = bytearray()
        self._begun = False

    async def delta(self, delta: Delta) -> None:
        """Write it together with the others that are due, at once if they are many."""
        if not self._begun:
            self._begun = True
            self._due += self._chunks.first()
        await self.frame(self._chunks.delta(delta))

    async def frame(self, frame: bytes) -> None:
        """The same for a delta that is written already."""
        self._begun = True
        self._due += frame
        self._record.chunks_sent += 1
        if len(self._due) >= _WRITE_BYTES:
            await self.flush()
            # A send that does not wait does not suspend: without this one client would take all the time.
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Write the deltas that are due."""
        if self._due:
            await self._write(more=True)

    async def fault(self, fault: str) -> None:
        """Cause the fault."""
        await self._breaker.cause(fault)

    async def finish(self, finish: Finish) -> None:
        """Write the end of the stream, and before it the deltas that are still due."""
        self._due += self._chunks.finish(finish)
        if self._ends_with:
            self._due = self._due.removesuffix(DONE)
            await self.flush()
            await self.fault(self._ends_with)
        await self._write(more=False)

    async def _write(self, *, more: bool) -> None:
        body, self._due = bytes(self._due), bytearray()
        if self._begun:
            self._record.first_token()
        began = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._record.blocked_s += asyncio.get_running_loop().time() - began


class Gathered:
    """Plays into one JSON body, written at the end; it takes as long as the stream takes."""

    def __init__(self, whole: Whole, respond: Callable[[bytes], Awaitable[None]], record: RequestRecord) -> None:
        self._whole = whole
        self._respond = respond
        self._record = record

    async def delta(self, delta: Delta) -> None:
        """Collect it."""
        self._whole.add(delta)

    async def frame(self, frame: bytes) -> None:
        """Only streams have quirks."""

    async def flush(self) -> None:
        """Nothing is written before the end."""

    async def fault(self, fault: str) -> None:
        """Only streams have faults."""

    async def finish(self, finish: Finish) -> None:
        """Write the whole answer."""
        self._record.first_token()
        self._record.chunks_sent = 1
        await self._respond(self._whole.finish(finish))
