"""Owns the time: plays a script step by step into a response, at its pace.

Knows how to wait and to write, not what is said. Steps are due at absolute times, so waiting a
little too long for one delta makes the next wait shorter and the pace holds. All that is due
goes out in one write; so an answer without pace, or a server that fell behind, writes in bulk
instead of once per delta.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

from outlive.deploy.demo_model.control import Gates, Seen
from outlive.deploy.demo_model.faults import AT_THE_END, Breaker, Send
from outlive.deploy.demo_model.openai_shapes import DONE, Chunks, Whole
from outlive.deploy.demo_model.script import Delta, Fault, Finish, Gate, Step, Wait

# Enough to make the cost of a write small, little enough that others get their turn.
_WRITE_BYTES: Final = 16_384


class Sink(Protocol):
    """Where a script is played to."""

    async def delta(self, delta: Delta) -> None: ...
    async def flush(self) -> None: ...
    async def fault(self, fault: str) -> None: ...
    async def finish(self, finish: Finish) -> None: ...


async def play(script: Iterator[Step], sink: Sink, gates: Gates, seen: Seen) -> None:
    """Play all of it. Cancelled when the client goes away. Raises `faults.Over`."""
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
            seen.at_gate = step.name
            await gates.wait(step.name)
            seen.at_gate = None
            due = loop.time()
        elif isinstance(step, Fault):
            await sink.flush()
            await sink.fault(step.name)
        elif isinstance(step, Finish):
            await sink.finish(step)
        else:
            await sink.delta(step)


class Streamed:
    """Plays into server-sent events."""

    def __init__(self, chunks: Chunks, send: Send, seen: Seen, breaker: Breaker, ends_with: str | None) -> None:
        """`ends_with` is the fault at the end, if any."""
        self._chunks = chunks
        self._send = send
        self._seen = seen
        self._breaker = breaker
        self._ends_with = ends_with if ends_with in AT_THE_END else None
        self._due = bytearray()
        self._begun = False

    async def delta(self, delta: Delta) -> None:
        """Write it with what else is due, at the latest when that has become much."""
        if not self._begun:
            self._begun = True
            self._due += self._chunks.first()
        self._due += self._chunks.delta(delta)
        self._seen.chunks_sent += 1
        if len(self._due) >= _WRITE_BYTES:
            await self.flush()
            # A send that need not wait does not suspend: without this one client would have it all.
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Write what is due."""
        if self._due:
            await self._write(more=True)

    async def fault(self, fault: str) -> None:
        """Let it go wrong."""
        await self._breaker.happen(fault)

    async def finish(self, finish: Finish) -> None:
        """The end of the stream, with whatever was still due."""
        self._due += self._chunks.finish(finish)
        if self._ends_with:
            self._due = self._due.removesuffix(DONE)
            await self.flush()
            await self.fault(self._ends_with)
        await self._write(more=False)

    async def _write(self, *, more: bool) -> None:
        body, self._due = bytes(self._due), bytearray()
        if self._begun:
            self._seen.first_token()
        began = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._seen.blocked_s += asyncio.get_running_loop().time() - began


class Gathered:
    """Plays into one JSON body, written at the end; it takes as long as the stream would."""

    def __init__(self, whole: Whole, answer: Callable[[bytes], Awaitable[None]], seen: Seen) -> None:
        self._whole = whole
        self._answer = answer
        self._seen = seen

    async def delta(self, delta: Delta) -> None:
        """Keep it."""
        self._whole.add(delta)

    async def flush(self) -> None:
        """Nothing is written before the end."""

    async def fault(self, fault: str) -> None:
        """Asked for streams only."""

    async def finish(self, finish: Finish) -> None:
        """The whole answer."""
        self._seen.first_token()
        self._seen.chunks_sent = 1
        await self._answer(self._whole.finish(finish))
