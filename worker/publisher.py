"""Owns the way of all this process's attempts into the log: group commit, leases, lost places.

One flush at a time carries what every generation has pending, as one pipeline; what arrives
meanwhile joins in the outboxes. So a lone token leaves at once, and under load the batches grow by
themselves: no timer delays anything. Knows nothing of the upstream. While Redis is away the
outboxes fill up and their attempts wait; nothing is dropped.
"""

import asyncio
import logging
import random
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from shared.answers import LOST, Answer, SeqReply, TakeReply
from shared.errors import LogUnavailable, LostPlace, TokencastError
from shared.eventlog import EventLog
from shared.events import Delta, Terminal
from worker.outbox import Outbox, OutboxLimits

log = logging.getLogger(__name__)

_RETRY_FIRST_S: Final = 0.05
_RETRY_MOST_S: Final = 1.0
_FLUSH_GENERATIONS: Final = 256
"""Per pipeline, so that one flush stays a bounded burst for Redis; the rest goes with the next."""


class Publication:
    """One attempt's place to write. `lost` is set when it may never write again."""

    def __init__(self, publisher: "Publisher", outbox: Outbox, token: str, taken: TakeReply) -> None:
        self.outbox = outbox
        self.taken = taken
        self.token = token
        self.lost = asyncio.Event()
        self.answer: Answer | None = None
        self._publisher = publisher
        self._moved = asyncio.Event()

    @property
    def place(self) -> tuple[str, int]:
        """Generation and epoch. Not the generation alone: a worker that was stopped for longer than
        a lease may take its own generation again, while the former attempt does not know yet."""
        return self.outbox.generation_id, self.outbox.epoch

    def add(self, delta: Delta) -> None:
        """Accept one piece at once; the caller asks `is_full` and waits in `room` before the next.

        Raises `LostPlace`, `OutputTooLarge`.
        """
        self._check()
        self.outbox.add(delta)
        self._publisher.wake(self)

    @property
    def is_full(self) -> bool:
        return self.outbox.is_full

    async def room(self) -> None:
        """Wait until a piece may be added. This wait is what holds the provider back."""
        while self.outbox.is_full:
            await self._wait_for_move()

    async def close(self, terminal: Terminal) -> None:
        """Write the last event and wait until the log has it. Raises `LostPlace`."""
        self._check()
        self.outbox.close(terminal)
        self._publisher.wake(self)
        while not self.outbox.is_settled:
            await self._wait_for_move()

    def lose(self, answer: Answer) -> None:
        self.answer = answer
        self.lost.set()
        self._moved.set()

    def move(self, seq: int) -> None:
        """The log answered how far it is."""
        self.outbox.acknowledge(seq)
        self._moved.set()

    async def _wait_for_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()
        self._check()

    def _check(self) -> None:
        if self.answer is not None:
            raise LostPlace(self.answer)


class Publisher:
    """All open publications of this process. `run` owns the two loops."""

    def __init__(self, eventlog: EventLog, limits: OutboxLimits, *, lease_s: float) -> None:
        self._log = eventlog
        self._limits = limits
        self._lease_s = lease_s
        self._open: dict[tuple[str, int], Publication] = {}
        self._waiting: dict[tuple[str, int], Publication] = {}
        self._work = asyncio.Event()
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._away = asyncio.Event()
        self._failures = 0
        self.reachable_since = float("-inf")
        """Loop time of the last return of Redis; new work is claimed half a lease later."""

    def open(self, generation_id: str, token: str, taken: TakeReply) -> Publication:
        """A place to write for the attempt just taken; give it back with `forget`."""
        publication = Publication(self, Outbox(generation_id, taken, self._limits), token, taken)
        self._open[publication.place] = publication
        return publication

    def forget(self, publication: Publication) -> None:
        """The attempt is over, in whatever way: renew and flush it no more."""
        self._open.pop(publication.place, None)
        self._waiting.pop(publication.place, None)

    def wake(self, publication: Publication) -> None:
        """There is something to flush."""
        self._waiting[publication.place] = publication
        self._work.set()

    async def look(self, generation_id: str) -> None:
        """A hint: something happened to this generation's log, find out what."""
        publications = [p for p in self._open.values() if p.outbox.generation_id == generation_id]
        if publications:
            await self._renew(publications)

    @property
    def is_settling(self) -> bool:
        """Redis came back less than half a lease ago; others' leases may not be renewed yet."""
        away = not self._reachable.is_set()
        return away or asyncio.get_running_loop().time() < self.reachable_since + self._lease_s / 2

    async def run(self) -> None:
        """Flush and renew until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_for_ever(), name="flush")
            tasks.create_task(self._renew_for_ever(), name="renew")

    async def _flush_for_ever(self) -> None:
        while True:
            await self._work.wait()
            await self._reachable.wait()
            publications = list(self._waiting.values())[:_FLUSH_GENERATIONS]
            for publication in publications:
                del self._waiting[publication.place]
            if not self._waiting:
                self._work.clear()
            await self._flush(publications)

    async def _flush(self, publications: Iterable[Publication]) -> None:
        batches = [(p, batch) for p in publications if (batch := p.outbox.next_batch()) is not None]
        if not batches:
            return
        try:
            replies = await self._log.append([batch for _, batch in batches])
        except LogUnavailable:
            self._lose_redis()
            replies = [LogUnavailable()] * len(batches)
        for (publication, _), reply in zip(batches, replies, strict=True):
            await self._settle(publication, reply)

    async def _settle(self, publication: Publication, reply: SeqReply | TokencastError) -> None:
        """Act on one reply to an append or a renewal."""
        if isinstance(reply, TokencastError):
            # Refused for now (full, read-only, no quorum): renewals find out when that is over.
            self._lose_redis()
        elif reply.answer in LOST:
            publication.lose(reply.answer)
            self.forget(publication)
            return
        elif reply.answer is Answer.BEHIND:
            await self._heal(publication)
        else:
            # Only an accepted event ends the backoff: a full Redis renews leases and refuses events.
            self._failures = 0
            publication.move(reply.seq)
        if not publication.outbox.is_settled:
            self.wake(publication)

    async def _heal(self, publication: Publication) -> None:
        """A failover lost our take: begin again, in the log, exactly as we began."""
        outbox = publication.outbox
        try:
            answer = await self._log.heal(outbox.generation_id, publication.token, publication.taken)
        except LogUnavailable:
            self._lose_redis()
            return
        if answer is Answer.OK:
            publication.move(0)
        else:
            publication.lose(answer)
            self.forget(publication)

    async def _renew_for_ever(self) -> None:
        """A lease is renewed three times in its length, so two losses in a row are forgiven. After
        an outage this comes first: leases before events, events before new work."""
        while True:
            if self._reachable.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._lease_s / 3):
                        await self._away.wait()
            else:
                wait_s = min(_RETRY_FIRST_S * 2**self._failures, _RETRY_MOST_S)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))
            if await self._renew(list(self._open.values())):
                self._find_redis()

    async def _renew(self, publications: list[Publication]) -> bool:
        """Renew these leases and act on the answers; whether Redis answered at all."""
        owned = [p.place for p in publications]
        try:
            replies = await (self._log.renew(owned) if owned else self._log.ping())
        except LogUnavailable:
            self._lose_redis()
            return False
        for publication, reply in zip(publications, replies, strict=True):
            if isinstance(reply, TokencastError):
                self._lose_redis()
                return False
            # What is in flight may pass a renewal: only a seq below what was acknowledged is a loss.
            if reply.answer is not Answer.OK or reply.seq < publication.outbox.acknowledged:
                await self._settle(publication, reply)
        return True

    def _lose_redis(self) -> None:
        self._failures += 1
        if self._reachable.is_set():
            log.warning("redis is away; attempts are kept, upstreams wait")
            self._reachable.clear()
            self._away.set()

    def _find_redis(self) -> None:
        if not self._reachable.is_set():
            log.warning("redis is back; %d generations go on", len(self._open))
            self.reachable_since = asyncio.get_running_loop().time()
            self._away.clear()
            self._reachable.set()
