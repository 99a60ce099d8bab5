"""Owns one seed's life of one generation: what happens in which order, and who is there for it.

Every choice comes from the seed. Scripts are atomic, so one after another is as good as at the
same time. Workers stall, repeat themselves and die; the server is replaced by one that knows less.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from redis.asyncio import Redis

from outlive.shared.log.reader import PAGE, Logged, LogReader
from outlive.shared.log.replies import ReplyCode
from outlive.shared.log.sweep import fail_lost
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.store.channels import ChannelConnection
from outlive.shared.store.keyspace import Keys, partition_of
from outlive.worker.publishing.publication import Publication
from tests.integration.logs import TENANT, expire_lease, new_generation, server_ms, set_meta, whole_log
from tests.integration.model.known import OPEN, UNKNOWN
from tests.integration.model.pushed import Post, PushedViewer
from tests.integration.model.replica import Replica
from tests.integration.model.viewer import ModelViewer
from tests.integration.model.witness import Witness
from tests.integration.model.worker import Worker, late_batch
from tests.support.metrics_reading import unread_worker_metrics
from tests.support.transcript import Transcript

_STEPS: Final = 80
_STEPS_AFTERWARDS: Final = 15
_AN_HOUR_MS: Final = 3_600_000


class Run:
    """`live`, then `end`; what became of it is in the public fields."""

    def __init__(self, seed: int, redis: Redis, keys: Keys, reader: LogReader, channels: ChannelConnection) -> None:
        # The noise in epochs is the code's own, from the module's generator.
        random.seed(seed)
        self.rng = rng = random.Random(seed)
        self.new = new_generation(
            f"gen_{seed:032x}", on_interrupt="restart" if rng.random() < 0.8 else "fail", deadline_s=2000.0
        )
        self.id = self.new.id
        self.log = Witness(redis, keys, rng, meanwhile=self._interfere)
        self.viewers: list[ModelViewer] = []
        self.post = Post(channels, keys.log(self.id))
        self.late: list[ModelViewer] = []
        """Those that joined when all was over."""
        self.attempts: list[Publication] = []
        self.lost: dict[Cursor, Logged] = {}
        """Entries that a failover or a delete took from the log; some came back."""
        self._has_failovers = rng.random() < 0.8
        self._ghosts: list[Publication] = []
        """Attempts that are over, whose last commands may still be on their way to this server."""
        self._workers = [Worker(name, self.log, rng) for name in "ABC"]
        self._replica = Replica(redis, keys, self.id)
        self._redis, self._keys, self._reader = redis, keys, reader

    @property
    def status(self) -> str:
        return self.log.known.status

    async def live(self) -> None:
        """Create it, and let anything happen in any order."""
        self._join(START)
        self._join(START)
        await self.post.collect()
        await self.log.create(self.new)
        if self.rng.random() < 0.5:
            await self._date_ahead()
        self._join_pushed(START)
        self._join_pushed(START)
        if self.rng.random() < 0.9:
            await self._catch_up()
        weights: dict[Callable[[], Awaitable[object]], float] = {
            self._write: 45, self._land_late: 12, self._take: 5, self._steal: 3, self._expire: 4, self._renew: 6,
            self._recover: 3, self._hand_over: 2, self._forget: 3, self._die: 2, self._requeue: 3, self._create: 2,
            self._finish: 0.4, self._delete: 0.1, self._read: 35, self._join_late: 1.5,
        }  # fmt: skip
        if self._has_failovers:
            weights |= {self._catch_up: 6, self._fail_over: 3}
        afterwards = _STEPS_AFTERWARDS
        for act in self.rng.choices(list(weights), list(weights.values()), k=_STEPS):
            await act()
            afterwards -= self.status not in (OPEN, UNKNOWN)
            if not afterwards:
                return

    async def end(self) -> None:
        """Whatever happened, a terminal can be had; then all have their last word."""
        self.log.loses = 0.0
        await self.log.create(self.new)
        if self.rng.random() < 0.5:
            # Those alive need nobody's help.
            await self._settle()
            alive = [p for worker in self._workers for p in worker.attempts]
            assert self.status != OPEN or not alive, "a worker that lives could not end it"
        if self.status == OPEN:
            await self._expire()
            await self._take()
            await self._settle()
        assert self.status != OPEN, "still open"
        await self._settle()
        for publication in self._ghosts:
            if batch := late_batch(publication, self.rng):
                await self.log.land(batch)
        for ask in (self._take, self._finish, self._requeue):
            await ask()
        self.late = [self._join(START), self._join(START)]
        for viewer in self.viewers:
            viewer.pace = PAGE
            while await viewer.read():
                pass
        await self.post.close()

    async def _settle(self) -> None:
        """Workers say all they have to say, and everything they hold reaches the log."""
        for worker in self._workers:
            while worker.attempts and self.status == OPEN and not all(p.terminal is not None for p in worker.attempts):
                worker.say()
                self._ghosts += await worker.flush()
            self._ghosts += await worker.renew()
            while any(not p.is_acknowledged for p in worker.attempts):
                self._ghosts += await worker.flush()

    # -- what workers do ---------------------------------------------------------------------

    async def _take(self) -> None:
        if publication := await self.rng.choice(self._workers).take(self.id):
            self.attempts.append(publication)

    async def _steal(self) -> None:
        """An owner is silent for a lease, and somebody else is quicker."""
        await self._expire()
        await self._take()

    async def _write(self) -> None:
        worker = self._some()
        worker.say()
        self._ghosts += await worker.flush()

    async def _land_late(self) -> None:
        known = self._ghosts + [p for worker in self._workers for p in worker.attempts]
        if not known:
            return
        publication = self.rng.choice(known[-4:])
        if self.rng.random() < 0.2:
            await self.log.land_renewal(publication.renewal())
        elif batch := late_batch(publication, self.rng):
            await self.log.land(batch)

    async def _renew(self) -> None:
        self._ghosts += await self._some().renew()

    async def _recover(self) -> None:
        """A renewal that nothing disturbs brings back what a failover took, however silent the upstream."""
        worker, loses, self.log.loses = self._some(), self.log.loses, 0.0
        acknowledged = {p: p._outbox.acknowledged_seq for p in worker.attempts}
        self._ghosts += await worker.renew()
        while any(not p.is_acknowledged for p in worker.attempts):
            self._ghosts += await worker.flush()
        last = self.log.known.last
        for publication in worker.attempts:
            assert publication.epoch != last.epoch or acknowledged[publication] <= last.seq, "not brought back"
        self.log.loses = loses

    async def _interfere(self) -> None:
        await self.rng.choice((self._steal, self._steal, self._finish))()

    async def _hand_over(self) -> None:
        reason = self.rng.choice(("worker_shutdown", "upstream_interrupted"))
        self._ghosts += await self._some().hand_over(reason)

    async def _forget(self) -> None:
        """A worker sees its terminal acknowledged, and does not wait for any replica."""
        self._ghosts += self._some().forget(only_done=True)

    async def _die(self) -> None:
        self._ghosts += self._some().die()

    def _some(self) -> Worker:
        busy = [worker for worker in self._workers if worker.attempts]
        return self.rng.choice(busy or self._workers)

    # -- what everybody else does --------------------------------------------------------------

    async def _create(self) -> None:
        await self.log.create(self.new)

    async def _expire(self) -> None:
        if self.status == OPEN:
            await expire_lease(self._redis, self._keys, self.id)
            self.log.expired()

    async def _requeue(self) -> None:
        """The sweep finds it: overdue, or with a score no clock of this server has written."""
        score = self.rng.choice((1, await server_ms(self._redis) + _AN_HOUR_MS))
        await self._redis.zadd(self._keys.deadlines(partition_of(self.id)), {self.id: score})
        reply = await self.log.requeue(self.id)
        if reply.code is ReplyCode.PAST_DEADLINE:
            await self.log.fail(self.id, "deadline_exceeded", "late", retryable=True)
        elif reply.code in (ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED):
            await fail_lost(self.log, unread_worker_metrics(), self.id, reply.reason)

    async def _finish(self) -> None:
        for _ in range(self.rng.randint(1, 2)):
            if self.rng.random() < 0.5:
                await self.log.cancel(self.id)
            else:
                await self.log.fail(self.id, "worker_lost", "lost", retryable=True)

    async def _delete(self) -> None:
        self._remember(await whole_log(self._redis, self._keys, self.id))
        await self.log.delete(self.id, TENANT)

    # -- what viewers do -------------------------------------------------------------------------

    async def _join_late(self) -> None:
        """Somebody opens it from the start, or with the last id an earlier page has kept."""
        seen = [frame.id for viewer in self.viewers for frame in viewer.transcript.frames if frame.id]
        self._join(Cursor.parse(self.rng.choice(seen)) if seen and self.rng.random() < 0.3 else START)

    def _join(self, after: Cursor) -> ModelViewer:
        viewer = ModelViewer(Transcript(self.id, f"viewer {len(self.viewers)}", after), self._reader, self.rng)
        self.viewers.append(viewer)
        return viewer

    def _join_pushed(self, after: Cursor) -> None:
        """Somebody watches at an API process, whose feeds are fed by messages."""
        transcript = Transcript(self.id, f"pushed viewer {len(self.viewers)}", after)
        self.viewers.append(PushedViewer(transcript, self._redis, self._keys, self.rng, self.post))

    async def _read(self) -> None:
        await self.rng.choice(self.viewers).read()

    # -- what becomes of the server ----------------------------------------------------------------

    async def _catch_up(self) -> None:
        await self._replica.catch_up(self.log.known)

    async def _fail_over(self) -> None:
        """What was on its way to the former server never reaches this one."""
        hours_ahead = self.rng.choice((0, 0, 0, 0, -1, -1, -1, 1))
        self._remember(await self._replica.promote(hours_ahead))
        self.log.promoted(self._replica.known, hours_ahead)
        self._ghosts.clear()

    async def _date_ahead(self) -> None:
        """As if the server that created it had a clock an hour ahead: epochs count on from there."""
        (queued,) = await whole_log(self._redis, self._keys, self.id)
        key, ahead = self._keys.log(self.id), Cursor(queued.cursor.epoch + _AN_HOUR_MS, 0)
        await self._redis.delete(key)
        await self._redis.xadd(key, {"type": queued.type, "data": queued.data}, id=str(ahead))
        await set_meta(self._redis, self._keys, self.id, epoch=ahead.epoch)
        self.log.known = replace(self.log.known, last=ahead)

    def _remember(self, lost: list[Logged]) -> None:
        self.log.counts["events lost"] += len(lost)
        self.lost |= {entry.cursor: entry for entry in lost}
