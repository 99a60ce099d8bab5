"""Owns the way of all this process's attempts into the log: group commit, leases, lost ownership.

One flush at a time carries what every generation has pending, as one pipeline; what arrives meanwhile gathers in the
outboxes. A lone token leaves at once; a busy worker flushes less often (`flush_pacing.py`). Each group of logs has a
health of its own (`redis_health.py`): while its server is away its outboxes fill up and their attempts wait, and the
other groups go on; nothing is dropped. Knows nothing of the upstream.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable
from functools import partial
from typing import Final

from outlive.shared.errors import LogFull, LogUnavailable, OutliveError
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.replies import ReplyCode, SeqReply, TakeReply
from outlive.shared.runtime.pacing import Pace
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.publishing.append_metrics import AppendMetrics
from outlive.worker.publishing.flush_pacing import FlushPacing
from outlive.worker.publishing.outbox import Outbox, OutboxLimits
from outlive.worker.publishing.publication import Key, Publication
from outlive.worker.publishing.redis_health import RedisHealth
from outlive.worker.timers import Clock

log = logging.getLogger(__name__)

_FLUSH_GENERATIONS: Final = 256
"""Per pipeline, so that one flush stays a bounded burst for Redis; the others go with the next."""


class Publisher:
    """All open publications of this process. `run` owns its loops."""

    def __init__(
        self,
        eventlog: EventLog,
        limits: OutboxLimits,
        metrics: WorkerMetrics,
        clock: Clock,
        *,
        lease_s: float,
        full_s: float,
        pacing: FlushPacing | None = None,
    ) -> None:
        """`full_s`: how long events wait for a Redis that is full before their answer fails."""
        self._log = eventlog
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._full_s = full_s
        self._pacing = pacing or FlushPacing()
        self._open: dict[Key, Publication] = {}
        self._waiting: dict[Key, Publication] = {}
        self._work = asyncio.Event()
        """An attempt waits whose server is up."""
        self._health = {
            group: RedisHealth(lease_s, clock, partial(eventlog.silent_s, group)) for group in eventlog.groups
        }

    def open(self, generation_id: str, token: str, taken: TakeReply) -> Publication:
        """Begin to write for the attempt just taken; end it with `forget`."""
        publication = Publication(
            Outbox(generation_id, taken, self._limits),
            token,
            taken,
            group=self._log.group_of(generation_id),
            wake=self._wake,
            metrics=AppendMetrics(self._metrics, taken, self._clock()),
            clock=self._clock,
        )
        self._open[publication.key] = publication
        return publication

    def forget(self, publication: Publication) -> None:
        """The attempt is over, in whatever way: renew and flush it no more."""
        self._open.pop(publication.key, None)
        self._waiting.pop(publication.key, None)

    async def check(self, generation_id: str) -> None:
        """A hint came: something happened to this generation's log, find out what."""
        await self.verify([p for p in self._open.values() if p.generation_id == generation_id])

    async def verify(self, publications: Collection[Publication]) -> bool:
        """Compare these with the log and act on the difference; whether the log replied for all of them."""
        return not publications or await self._renew(publications)

    @property
    def is_in_grace(self) -> bool:
        """New work must wait everywhere: leases of others may not have been renewed yet."""
        return all(health.grace_s for health in self._health.values())

    def begin_grace(self) -> None:
        """The worker had to wait for Redis at its start (`RedisHealth.begin_grace`)."""
        for health in self._health.values():
            health.begin_grace()

    async def wait_out_grace(self, generation_id: str) -> None:
        """Wait until this generation's server has replied to all workers for half a lease. A lease that its owner
        could not renew while the server was away must not be taken the moment the server is back."""
        health = self._health_of(generation_id)
        while (wait_s := health.grace_s) > 0:
            await asyncio.sleep(wait_s)

    async def run(self) -> None:
        """Flush and renew until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_for_ever(), name="flush")
            for group in self._health:
                tasks.create_task(self._renew_for_ever(group), name=f"renew {group}")

    # -- flushing ----------------------------------------------------------------------------

    def _wake(self, publication: Publication) -> None:
        if publication.key in self._waiting:
            return
        self._waiting[publication.key] = publication
        if self._health[publication.group].is_up:
            self._work.set()

    async def _flush_for_ever(self) -> None:
        pace = Pace(self._pacing.rest_each_s, monotonic=self._clock, thread_time=time.thread_time)
        while True:
            await self._work.wait()
            began = self._clock()
            while not await self._flush_next():
                pass
            # An attempt that only waits for a replica costs a flush nothing.
            writing = sum(not p.is_over for p in self._open.values())
            if pause_s := pace.pause_s(writing, began, self._pacing.max_round_s):
                await asyncio.sleep(pause_s)

    async def _flush_next(self) -> bool:
        """Send one pipeline; whether it took everything that was ready."""
        ready = [p for p in self._waiting.values() if self._health[p.group].is_up]
        publications = ready[:_FLUSH_GENERATIONS]
        for publication in publications:
            del self._waiting[publication.key]
        if is_last := len(publications) == len(ready):
            self._work.clear()
        await self._flush(publications)
        return is_last

    async def _flush(self, publications: Iterable[Publication]) -> None:
        batches = [(p, batch) for p in publications if (batch := p.next_batch()) is not None]
        if not batches:
            return
        began = self._clock()
        replies: list[SeqReply | OutliveError]
        try:
            replies = await self._log.append([batch for _, batch in batches])
            self._metrics.flushed(sum(len(batch.entries) for _, batch in batches), self._clock() - began)
        except LogUnavailable as error:
            replies = [error] * len(batches)
        refused = {p.group for (p, _), reply in zip(batches, replies, strict=True) if isinstance(reply, OutliveError)}
        self._mark_down(refused)
        written = set()
        for (publication, batch), reply in zip(batches, replies, strict=True):
            if isinstance(reply, OutliveError):
                await self._on_refusal(publication, reply)
                continue
            if reply.code is ReplyCode.OK:
                publication.on_append(batch)
                written.add(publication.group)
            await self._act_on(publication, reply)
        for group in written - refused:
            self._health[group].reset_backoff()

    async def _on_refusal(self, publication: Publication, error: OutliveError) -> None:
        """Refused for now (full, read-only, no quorum): renewals find out when that is over."""
        if isinstance(error, LogFull) and publication.on_full() > self._full_s:
            await self._fail_for_capacity(publication)
        self._go_on(publication)

    async def _act_on(self, publication: Publication, reply: SeqReply) -> None:
        """Act on the log's reply to an append or a renewal."""
        if not publication.on_reply(reply):
            await self._heal(publication)
        self._go_on(publication)

    def _go_on(self, publication: Publication) -> None:
        if publication.lost.is_set():
            self.forget(publication)
        elif not publication.is_acknowledged:
            self._wake(publication)

    async def _fail_for_capacity(self, publication: Publication) -> None:
        """Redis stays full. A terminal gets through all the same (R11), and says how much was written."""
        message = "Redis is out of memory, so the rest of the answer could not be written."
        try:
            reply = await self._log.fail(publication.generation_id, "capacity", message, retryable=True)
        except LogUnavailable:
            return
        if reply.code is ReplyCode.OK:
            self._metrics.ended("failed", "capacity")
        log.warning("answer failed: redis is full", extra={"generation": publication.generation_id})
        publication.lose(ReplyCode.GONE if reply.code is ReplyCode.GONE else ReplyCode.CLOSED)

    async def _heal(self, publication: Publication) -> None:
        """A failover lost our take: write the beginning of the attempt again, exactly as it was."""
        try:
            reply = await self._log.heal(publication.generation_id, publication.token, publication.taken)
        except LogUnavailable:
            self._mark_down({publication.group})
            return
        if reply is ReplyCode.OK:
            publication.rewind()
        else:
            publication.lose(reply)

    # -- renewing ----------------------------------------------------------------------------

    async def _renew_for_ever(self, group: str) -> None:
        """After an outage this comes first: leases before events, events before new work."""
        health = self._health[group]
        while True:
            health.clear_alarm()
            await health.wait_until_due()
            with health.asking():
                mine = [p for p in self._open.values() if p.group == group]
                if await (self.verify(mine) if mine else self._replies(group)):
                    self._mark_up(health)

    async def _replies(self, group: str) -> bool:
        try:
            await self._log.check(group)
        except LogUnavailable:
            self._mark_down({group})
            return False
        return True

    async def _renew(self, publications: Collection[Publication]) -> bool:
        """Renew these leases and act on the replies; whether the log replied for all of them."""
        replies: list[SeqReply | OutliveError]
        try:
            replies = await self._log.renew([p.renewal() for p in publications])
        except LogUnavailable as error:
            replies = [error] * len(publications)
        refused = {p.group for p, reply in zip(publications, replies, strict=True) if isinstance(reply, OutliveError)}
        self._mark_down(refused)
        for publication, reply in zip(publications, replies, strict=True):
            if not isinstance(reply, OutliveError) and not publication.is_confirmed_by(reply):
                await self._act_on(publication, reply)
        return not refused

    # -- health ------------------------------------------------------------------------------

    def _health_of(self, generation_id: str) -> RedisHealth:
        return self._health[self._log.group_of(generation_id)]

    def _mark_down(self, groups: Collection[str]) -> None:
        if groups and all(health.is_up for health in self._health.values()):
            log.warning("redis does not reply or refuses; its attempts are kept, their upstreams wait")
        for group in groups:
            self._health[group].mark_down()

    def _mark_up(self, health: RedisHealth) -> None:
        was_up = health.is_up
        health.mark_up()
        if was_up:
            return
        if all(health.is_up for health in self._health.values()):
            log.warning("redis is back; the attempts that waited go on")
        if self._waiting:
            self._work.set()
