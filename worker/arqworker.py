"""Owns what we change in arq: how jobs are picked up, and how the worker survives a Redis outage.

arq polls every 0.5 s, leaves running jobs in the queue that it polls, reads only the first 100 and ends the process
when Redis restarts. Here one script claims jobs, an idle worker is woken, and an outage is waited out. arq still runs
the jobs and does their bookkeeping, but no delivery waits for it: a delivery begins when it is claimed, and arq's job
only awaits it. tests/unit/test_arq_contract.py pins the internals used here. Knows only the ids of
generations.
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
"""For arq there is no limit, because the log counts attempts. arq counts with an INCR that is sent again when its reply
is lost, so with a limit of one it would count a running delivery as failed."""


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
        """`may_claim`: whether new work is wanted now; `claimed` is called with the seconds that each delivery waited;
        `blocking` is a client for waiting."""

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
        """Claim and start jobs until `stop_claiming`; then `finish_jobs` waits for the running ones.

        Do not cancel it: a claim that is cut off between Redis and us would lose its jobs, and they would be found only
        after a lease.
        """
        while not self._stopping:
            try:
                await self._claim()
                # The claimed deliveries ask Redis first, because clients wait for them.
                await asyncio.sleep(0)
                await self._wait()
            except (LogUnavailable, RedisError, OSError):
                await asyncio.sleep(_AWAY_S * random.uniform(0.5, 1))

    def stop_claiming(self) -> None:
        """Claim no new jobs; takes effect within `WAKE_S`."""
        self._stopping = True
        self._slot_freed.set()

    async def finish_jobs(self) -> None:
        """Wait until every running job has ended."""
        while self.tasks:
            await asyncio.wait(set(self.tasks.values()))
            self._reap()

    async def _claim(self) -> None:
        """Claim everything that waits, as far as slots are free: a wake announces what comes later."""
        self._reap()
        free = self.max_jobs - self.job_counter
        if free <= 0 or not self._may_claim():
            return
        claimed = await self._queue.claim(free)
        for job_id, waited_s in claimed:
            if job_id in self._under_way:
                # A failover has lost the claim, so the job is in the queue again.
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
        """Run arq's job beside the delivery: arq begins with a round trip, which would cost the first token 0.5 ms."""
        try:
            await self.run_job(job_id, timestamp_ms())
        finally:
            # If arq lost its entry or Redis is away, the delivery goes on without it: the id is all it needs.
            await asyncio.wait({work})
            self._under_way.pop(job_id, None)

    async def _wait(self) -> None:
        """Wait until there may be something to claim: a wake, a free slot, or `WAKE_S`."""
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
                    # arq's own bookkeeping failed (Redis is away, for example). The log has everything that matters.
                    log.warning("arq could not keep the books of job %s: %r", job_id, error)
