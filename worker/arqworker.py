"""Owns what we change in arq: how jobs are picked up, and what survives a Redis outage.

arq polls by a clock (0.5 s), leaves running jobs in the queue it polls, looks only at its first
100 and ends the process when Redis restarts. Here jobs are claimed by one script, an idle worker
is woken, and an outage is waited out. arq still runs the jobs and does their bookkeeping, but nobody
waits for it: a delivery begins when it is claimed, and arq's job is to await it. The internals relied on
are pinned by tests/unit/test_arq_contract.py. Knows nothing of generations but their ids.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from arq.connections import ArqRedis
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from outlive.shared.errors import LogUnavailable
from outlive.shared.queue.queue import JOB_FUNCTION, WAKE_S, Queue, deserialize, generation_of, serialize

log = logging.getLogger(__name__)

_AWAY_S: Final = 0.5

_TRIES: Final = 1_000
"""Without limit, as far as arq is concerned: the log counts attempts. arq counts with an INCR that is
sent again when its reply is lost, so with a limit of one it would count a delivery that runs as failed."""


class ArqWorker(Worker):
    """An arq worker with its own way of finding jobs. Run it with `claim_for_ever`."""

    def __init__(
        self,
        queue: Queue,
        pool: BlockingConnectionPool,
        blocking: Redis,
        deliver: Callable[[str], Coroutine[Any, Any, None]],
        claimed: Callable[[float], None],
        *,
        slots: int,
        job_timeout_s: float,
        may_claim: Callable[[], bool],
    ) -> None:
        """`may_claim` says whether new work is wanted now; `claimed` is told how long each delivery
        had waited; `blocking` is a client for waiting."""

        async def generate(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
            await self._under_way[ctx["job_id"]]

        super().__init__(
            functions=[func(generate, name=JOB_FUNCTION, max_tries=_TRIES)],
            redis_pool=ArqRedis(pool, job_serializer=serialize, job_deserializer=deserialize),
            queue_name=queue.name,
            handle_signals=False,
            max_jobs=slots,
            job_timeout=job_timeout_s,
            keep_result=0,
            retry_jobs=False,
            log_results=False,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )
        self._queue = queue
        self._deliver = deliver
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._blocking = blocking
        self._may_claim = may_claim
        self._claimed = claimed
        self._slot_freed = asyncio.Event()
        self._stopping = False

    async def claim_for_ever(self) -> None:
        """Claim and start jobs until `stop_claiming`; running jobs are then left to `finish_jobs`.

        Not by cancellation: a claim cut off between Redis and us would lose what it took, to be
        found only after a lease.
        """
        while not self._stopping:
            try:
                await self._claim()
                # What was claimed asks Redis first: somebody waits for it.
                await asyncio.sleep(0)
                await self._wait()
            except (LogUnavailable, RedisError, OSError):
                await asyncio.sleep(_AWAY_S * random.uniform(0.5, 1))

    def stop_claiming(self) -> None:
        """No new jobs; takes effect within `WAKE_S`."""
        self._stopping = True
        self._slot_freed.set()

    async def finish_jobs(self) -> None:
        """Wait until every running job has ended."""
        while self.tasks:
            await asyncio.wait(set(self.tasks.values()))
            self._reap()

    async def _claim(self) -> None:
        """All there is, as far as there are slots: for what comes later there will be a wake."""
        self._reap()
        free = self.max_jobs - self.job_counter
        if free <= 0 or not self._may_claim():
            return
        claimed = await self._queue.claim(free)
        for job_id, waited_s in claimed:
            if job_id in self._under_way:
                # A failover has lost the claim, and the queue has it again.
                continue
            self._claimed(waited_s)
            await self.sem.acquire()
            self.job_counter += 1
            work = self.loop.create_task(self._deliver(generation_of(job_id)), name=f"delivery {job_id}")
            self._under_way[job_id] = work
            task = self.loop.create_task(self._keep_books(job_id, work), name=f"job {job_id}")
            task.add_done_callback(self._free_slot)
            self.tasks[job_id] = task

    async def _keep_books(self, job_id: str, work: asyncio.Task[None]) -> None:
        """arq's way beside the delivery, whose beginning costs a round trip (0.5 ms of the first token)."""
        try:
            await self.run_job(job_id, timestamp_ms())
        finally:
            # Without arq, where its entry is lost or Redis away: the id says all that is needed.
            await asyncio.wait({work})
            self._under_way.pop(job_id, None)

    async def _wait(self) -> None:
        """Until there may be something to claim: a wake, a free slot, or a little time."""
        self._slot_freed.clear()
        if self.job_counter < self.max_jobs and self._may_claim():
            await self._queue.wait_for_wake(self._blocking)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(WAKE_S):
                await self._slot_freed.wait()

    def _free_slot(self, _: asyncio.Task[Any]) -> None:
        self._release_sem_dec_counter_on_complete()
        self._slot_freed.set()

    def _reap(self) -> None:
        for job_id, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job_id]
                if not task.cancelled() and (error := task.exception()) is not None:
                    # arq's own bookkeeping failed (Redis away, say). The log knows all that matters.
                    log.warning("arq could not keep the books of job %s: %r", job_id, error)
