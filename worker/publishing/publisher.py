"""Owns the way of all this process's attempts into the log: group commit, leases, lost places.

One flush at a time carries what every generation has pending, as one pipeline; what arrives
meanwhile joins in the outboxes. A lone token leaves at once; a worker that is busy with many attempts
flushes less often (`shared/runtime/pacing.py`), because a flush costs by its attempts and hardly by what they say.
Knows nothing of the upstream. While Redis is away the outboxes fill up and their attempts wait; nothing
is dropped.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Final

from outlive.shared.errors import LogFull, LogUnavailable, OutliveError
from outlive.shared.log.eventlog import Batch, EventLog, Renewal
from outlive.shared.log.replies import LOST, ReplyCode, SeqReply, TakeReply
from outlive.shared.runtime.pacing import Pace
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.publishing.outbox import Outbox, OutboxLimits
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.redis_health import RedisHealth

log = logging.getLogger(__name__)

_LOOKS_PER_LEASE: Final = 20
"""How finely the end of settling is found: what is renewed meanwhile is found renewed."""
_FLUSH_GENERATIONS: Final = 256
"""Per pipeline, so that one flush stays a bounded burst for Redis; the rest goes with the next."""

REST_EACH_S: Final = 0.000_09
_ROUND_S: Final = 0.065
"""How long tokens gather when this process is busy: so much for each attempt, and the longest from one round to
the next. 100 attempts at 50 tokens/s take a third less CPU by it, here and of Redis."""


class Publisher:
    """All open publications of this process. `run` owns the two loops."""

    def __init__(
        self, eventlog: EventLog, limits: OutboxLimits, measures: WorkerMetrics, *, lease_s: float, full_s: float
    ) -> None:
        """`full_s`: how long what is to be written waits for a Redis that is full."""
        self._log = eventlog
        self._measures = measures
        self._limits = limits
        self._lease_s = lease_s
        self._full_s = full_s
        self._open: dict[tuple[str, int], Publication] = {}
        self._waiting: dict[tuple[str, int], Publication] = {}
        self._stuck: set[tuple[str, int]] = set()
        """On a cluster: whose node is away. The others go on, and renewals find out when it is back."""
        self._work = asyncio.Event()
        self._pace = Pace(REST_EACH_S, monotonic=time.monotonic, thread_time=time.thread_time)
        self._reach = RedisHealth(lease_s, is_spread=eventlog.is_spread)

    def settle(self) -> None:
        """Redis had to be waited for (`Reach.settle`)."""
        self._reach.settle()

    def open(self, generation_id: str, token: str, taken: TakeReply) -> Publication:
        """A place to write for the attempt just taken; give it back with `forget`."""
        publication = Publication(self.wake, Outbox(generation_id, taken, self._limits), token, taken)
        self._open[publication.place] = publication
        return publication

    def forget(self, publication: Publication) -> None:
        """The attempt is over, in whatever way: renew and flush it no more."""
        self._open.pop(publication.place, None)
        self._waiting.pop(publication.place, None)
        self._stuck.discard(publication.place)

    def wake(self, publication: Publication) -> None:
        """There is something to flush."""
        self._waiting[publication.place] = publication
        self._work.set()

    async def look(self, generation_id: str) -> None:
        """A hint: something happened to this generation's log, find out what."""
        await self.verify([p for p in self._open.values() if p.outbox.generation_id == generation_id])

    async def verify(self, publications: list[Publication]) -> bool:
        """Hold these against the log and act on what it says; whether it could be asked."""
        return not publications or await self._renew(publications)

    async def settled(self, generation_id: str) -> None:
        """Wait until this generation's server has answered all of us for half a lease. What its owner could
        not renew for want of it is not ours to take the moment it is back."""
        while (wait_s := self._settles_in_s(generation_id)) > 0:
            await asyncio.sleep(wait_s)

    def _settles_in_s(self, generation_id: str) -> float:
        if self._log.is_spread:
            silent_s = self._log.silent_s(generation_id)
            return 0.0 if silent_s is None else self._lease_s / 2 - silent_s
        return self._lease_s / _LOOKS_PER_LEASE if self.is_settling else 0.0

    @property
    def is_settling(self) -> bool:
        """New work must wait: others' leases may not be renewed yet."""
        return self._reach.is_settling

    async def run(self) -> None:
        """Flush and renew until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_for_ever(), name="flush")
            tasks.create_task(self._renew_for_ever(), name="renew")

    async def _flush_for_ever(self) -> None:
        while True:
            await self._work.wait()
            await self._reach.there()
            began_s = time.monotonic()
            while not await self._flush_next():
                await self._reach.there()
            # What only waits for a replica costs a round nothing.
            speaking = sum(not p.is_over for p in self._open.values())
            if pause_s := self._pace.pause_s(speaking, began_s, _ROUND_S):
                await asyncio.sleep(pause_s)

    async def _flush_next(self) -> bool:
        """One pipeline; whether it took all that was ready."""
        ready = [p for place, p in self._waiting.items() if place not in self._stuck]
        publications = ready[:_FLUSH_GENERATIONS]
        for publication in publications:
            del self._waiting[publication.place]
        if is_last := len(publications) == len(ready):
            self._work.clear()
        await self._flush(publications)
        return is_last

    async def _flush(self, publications: Iterable[Publication]) -> None:
        batches = [(p, batch) for p in publications if (batch := p.outbox.next_batch()) is not None]
        if not batches:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            replies = await self._log.append([batch for _, batch in batches])
            self._measures.flushed(sum(len(batch.entries) for _, batch in batches), loop.time() - began)
        except LogUnavailable:
            replies = [LogUnavailable()] * len(batches)
        for (publication, batch), reply in zip(batches, replies, strict=True):
            if isinstance(reply, SeqReply) and reply.code is ReplyCode.OK:
                self._measure(publication, batch, loop.time())
            await self._settle(publication, reply)

    def _measure(self, publication: Publication, batch: Batch, now: float) -> None:
        """Once per append and not per token: it is what viewers get at once, too."""
        if (tokens := batch.entries[-1].tokens) > publication.appended_tokens:
            self._measures.wrote(tokens - publication.appended_tokens)
            publication.appended_tokens = tokens
        if batch.terminal is not None:
            return
        if publication.appended_at is not None:
            self._measures.paused(now - publication.appended_at)
        elif publication.taken.attempt == 1:
            self._measures.spoke(publication.taken.age_s + now - publication.opened_at)
        publication.appended_at = now

    async def _settle(self, publication: Publication, reply: SeqReply | OutliveError) -> None:
        """Act on one reply to an append or a renewal."""
        if isinstance(reply, OutliveError):
            # Refused for now (full, read-only, no quorum): renewals find out when that is over.
            self._refuse([publication])
            if isinstance(reply, LogFull) and self._has_been_full(publication):
                await self._give_up(publication)
                return
        elif reply.code is ReplyCode.CLOSED and publication.is_over:
            return
        elif reply.code in LOST:
            publication.lose(reply.code, since_cancel_s=reply.since_cancel_s)
            self.forget(publication)
            return
        elif reply.code is ReplyCode.BEHIND:
            await self._heal(publication)
        else:
            publication.full_since = None
            if not self._stuck:
                self._reach.accept()
            publication.move(reply.seq)
        if publication.answer is None and not publication.outbox.is_settled:
            self.wake(publication)

    def _has_been_full(self, publication: Publication) -> bool:
        now = asyncio.get_running_loop().time()
        publication.full_since = publication.full_since or now
        return now - publication.full_since > self._full_s

    async def _give_up(self, publication: Publication) -> None:
        """Redis stays full. An end gets through all the same (R11), and tells what was not written."""
        message = "Redis is out of memory, so the answer could not be written on."
        try:
            reply = await self._log.fail(publication.outbox.generation_id, "capacity", message, retryable=True)
        except LogUnavailable:
            return
        if reply.code is ReplyCode.OK:
            self._measures.ended("failed", "capacity")
        log.warning("given up: redis is full", extra={"generation": publication.outbox.generation_id})
        publication.lose(ReplyCode.GONE if reply.code is ReplyCode.GONE else ReplyCode.CLOSED)
        self.forget(publication)

    async def _heal(self, publication: Publication) -> None:
        """A failover lost our take: begin again, in the log, exactly as we began."""
        outbox = publication.outbox
        try:
            answer = await self._log.heal(outbox.generation_id, publication.token, publication.taken)
        except LogUnavailable:
            self._refuse([publication])
            return
        if answer is ReplyCode.OK:
            publication.move(0)
        else:
            publication.lose(answer)
            self.forget(publication)

    async def _renew_for_ever(self) -> None:
        """After an outage this comes first: leases before events, events before new work."""
        while True:
            if not self._stuck:
                self._reach.calm()
            await self._reach.until_due()
            with self._reach.asking():
                renewed = await self._renew(list(self._open.values()))
                # Of a cluster one node that answers is enough: whose node does not is stuck, and takes no other along.
                if await self._answers() and (renewed or self._log.is_spread):
                    self._reach.find()

    async def _answers(self) -> bool:
        try:
            await self._log.ping()
        except LogUnavailable:
            self._reach.lose()
            return False
        return True

    async def _renew(self, publications: list[Publication]) -> bool:
        """Renew these leases and act on the answers; whether all were answered."""
        renewals = [Renewal(*p.place, p.remaining_s) for p in publications]
        try:
            replies = await self._log.renew(renewals)
        except LogUnavailable:
            replies = [LogUnavailable()] * len(publications)
        refused = [p for p, reply in zip(publications, replies, strict=True) if isinstance(reply, OutliveError)]
        if refused:
            self._refuse(refused)
        for publication, reply in zip(publications, replies, strict=True):
            if isinstance(reply, OutliveError):
                continue
            if publication.place in self._stuck:
                self._stuck.discard(publication.place)
                self._work.set()
            # What is in flight may pass a renewal: only a seq below what was acknowledged is a loss.
            if reply.code is not ReplyCode.OK or reply.seq < publication.outbox.acknowledged:
                await self._settle(publication, reply)
        return not refused

    def _refuse(self, publications: Iterable[Publication]) -> None:
        """On a cluster this says something of their nodes, elsewhere of all there is."""
        if not self._log.is_spread:
            self._reach.lose()
            return
        if not self._stuck:
            log.warning("a node does not serve; attempts on it are kept, their upstreams wait")
        self._stuck.update(publication.place for publication in publications)
        self._reach.stumble()
