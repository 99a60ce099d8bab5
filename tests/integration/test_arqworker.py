"""arq's worker as we changed it, on a real Redis: it finds jobs, frees slots and outlives outages."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.asyncio import Redis

from outlive.shared.queue.queue import Queue
from outlive.shared.store.connect import connect, connect_blocking, pool
from outlive.shared.store.keyspace import Keys
from outlive.worker.arqworker import ArqWorker
from tests.support.ids import fresh_id
from tests.support.metrics_reading import unread_worker_metrics
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WITHIN_S = 10.0
SLOTS = 2


class Deliveries:
    """What a worker was given, and a hand on when it ends."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.max_at_once = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fault: Exception | None = None

    async def deliver(self, generation_id: str) -> None:
        self.begun.append(generation_id)
        self.max_at_once = max(self.max_at_once, len(self.begun) - len(self.ended))
        await self.may_end.wait()
        self.ended.append(generation_id)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def deliveries(anyio_backend: str) -> Deliveries:
    return Deliveries()


@asynccontextmanager
async def working(
    server: RedisServer, queue: Queue, deliveries: Deliveries, may_claim: Callable[[], bool] = lambda: True
) -> AsyncIterator[ArqWorker]:
    """A worker that claims for ever, or fails the test if it does not."""
    blocking = connect_blocking(server.url)
    worker = ArqWorker(
        queue,
        pool(server.url),
        blocking,
        deliveries.deliver,
        unread_worker_metrics().claimed,
        slots=SLOTS,
        job_timeout_s=60.0,
        may_claim=may_claim,
    )
    claiming = asyncio.create_task(worker.claim_for_ever())
    try:
        yield worker
        assert worker._stopping or not claiming.done()
    finally:
        worker.stop_claiming()
        deliveries.may_end.set()
        await claiming
        await worker.finish_jobs()
        await blocking.aclose()
        await worker.pool.aclose(close_connection_pool=True)


async def arq_keys(redis: Redis, generation_id: str) -> list[bytes]:
    """Everything arq holds about any delivery of it."""
    return [key async for key in redis.scan_iter(f"arq:*{generation_id}*")]


@pytest.mark.rule("R21")
async def test_a_delivery_is_run_and_forgotten(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """From `enqueue` to the generation's id in the worker's hand; then arq holds nothing of it."""
    generation_id = fresh_id()
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(generation_id, 1)
        await until(lambda: deliveries.ended, WITHIN_S, "end of the delivery")
        await until(lambda: worker.job_counter == 0, WITHIN_S, "a free slot")
        assert deliveries.begun == [generation_id]
        assert await arq_keys(redis, generation_id) == []
        assert await redis.zcard(keys.queue) == 0


@pytest.mark.rule("R21")
async def test_a_running_job_is_in_nobodys_poll(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """Claimed is out of the queue; what arq keeps of it until its end is the job and its try."""
    generation_id = fresh_id()
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries):
        await queue.enqueue(generation_id, 1)
        await until(lambda: deliveries.begun, WITHIN_S, "start of the delivery")
        assert await redis.zcard(keys.queue) == 0
        assert await redis.exists(f"{job_key_prefix}{generation_id}:1")
        assert not await redis.exists(f"{in_progress_key_prefix}{generation_id}:1")


@pytest.mark.rule("R21")
async def test_the_end_of_a_delivery_leaves_the_next_one_alone(
    redis_server: RedisServer, redis: Redis, queue: Queue, deliveries: Deliveries
) -> None:
    """arq's bookkeeping is by delivery: an old one that ends late removes nothing of a new one."""
    generation_id = fresh_id()
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(generation_id, 1)
        await until(lambda: deliveries.begun, WITHIN_S, "start of the delivery")
        worker.stop_claiming()
        await queue.enqueue(generation_id, 2)
        deliveries.may_end.set()
        await until(lambda: worker.job_counter == 0, WITHIN_S, "end of the first delivery")
        assert await arq_keys(redis, generation_id) == [f"{job_key_prefix}{generation_id}:2".encode()]


async def test_no_more_run_than_there_are_slots(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """The rest stays in the queue, where another worker finds it, and follows as slots come free."""
    ids = [fresh_id() for _ in range(3 * SLOTS)]
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries) as worker:
        for generation_id in ids:
            await queue.enqueue(generation_id, 1)
        await until(lambda: len(deliveries.begun) == SLOTS, WITHIN_S, "full slots")
        assert await redis.zcard(keys.queue) == len(ids) - SLOTS
        deliveries.may_end.set()
        await until(lambda: len(deliveries.ended) == len(ids), WITHIN_S, "end of all")
        await until(lambda: worker.job_counter == 0, WITHIN_S, "free slots")
    assert Counter(deliveries.begun) == Counter(ids)
    assert deliveries.max_at_once == SLOTS


async def test_nothing_is_claimed_while_it_may_not(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """Asked again and again, and only claimed once the answer is yes."""
    asked = 0
    answer = False

    def may_claim() -> bool:
        nonlocal asked
        asked += 1
        return answer

    async with working(redis_server, queue, deliveries, may_claim):
        await queue.enqueue(fresh_id(), 1)
        await until(lambda: asked >= 4, WITHIN_S, "two refusals")
        assert await redis.zcard(keys.queue) == 1
        assert deliveries.begun == []
        answer = True
        await until(lambda: deliveries.ended, WITHIN_S, "end of the delivery")


@pytest.mark.rule("R21")
async def test_a_delivery_that_fails_is_over_too(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """No second try, nothing kept, the slot free: attempts are counted in the log."""
    generation_id = fresh_id()
    deliveries.fault = RuntimeError("on purpose")
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(generation_id, 1)
        await until(lambda: deliveries.ended, WITHIN_S, "end of the delivery")
        await until(lambda: worker.job_counter == 0, WITHIN_S, "a free slot")
        assert await arq_keys(redis, generation_id) == []
        assert await redis.zcard(keys.queue) == 0
    assert deliveries.begun == [generation_id]


@pytest.mark.rule("R21")
async def test_a_delivery_whose_job_is_gone_is_run_all_the_same(
    redis_server: RedisServer, redis: Redis, queue: Queue, deliveries: Deliveries
) -> None:
    """Expired, or lost with a failover's tail: its id says whose it is, and arq's books are only beside it."""
    lost, fresh = fresh_id(), fresh_id()
    await queue.enqueue(lost, 1)
    await redis.delete(f"{job_key_prefix}{lost}:1")
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(fresh, 1)
        await until(lambda: len(deliveries.ended) == 2, WITHIN_S, "end of both deliveries")
        await until(lambda: worker.job_counter == 0, WITHIN_S, "free slots")
        assert await arq_keys(redis, lost) == []
    assert Counter(deliveries.begun) == Counter([lost, fresh])


async def test_a_delivery_that_arq_has_done_with_keeps_its_slot(
    redis_server: RedisServer, redis: Redis, queue: Queue, deliveries: Deliveries
) -> None:
    """arq gives up a job whose entry is gone at once; what runs then still counts."""
    ids = [fresh_id() for _ in range(2 * SLOTS)]
    for generation_id in ids:
        await queue.enqueue(generation_id, 1)
        await redis.delete(f"{job_key_prefix}{generation_id}:1")
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries) as worker:
        await until(lambda: worker.jobs_failed == SLOTS, WITHIN_S, "arq's giving up")
        assert worker.job_counter == SLOTS
        deliveries.may_end.set()
        await until(lambda: len(deliveries.ended) == len(ids), WITHIN_S, "end of all")
        await until(lambda: worker.job_counter == 0, WITHIN_S, "free slots")
    assert deliveries.max_at_once == SLOTS


@pytest.mark.rule("R21")
async def test_a_delivery_that_is_found_again_while_it_runs_is_not_begun_again(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """A failover lost the claim. It keeps its one slot, and whoever waits for running jobs waits for it."""
    generation_id, other = fresh_id(), fresh_id()
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(generation_id, 1)
        await until(lambda: deliveries.begun, WITHIN_S, "start of the delivery")
        await redis.zadd(keys.queue, {f"{generation_id}:1": 0})
        await queue.enqueue(other, 1)
        await until(lambda: len(deliveries.begun) == 2, WITHIN_S, "start of the other")
        assert await redis.zcard(keys.queue) == 0
        assert (len(worker.tasks), worker.job_counter) == (2, 2)
        worker.stop_claiming()
        finishing = asyncio.create_task(worker.finish_jobs())
        deliveries.may_end.set()
        await finishing
        assert worker.job_counter == 0
    assert deliveries.begun == deliveries.ended == [generation_id, other]


async def test_stopping_lets_running_jobs_end(
    redis_server: RedisServer, redis: Redis, keys: Keys, queue: Queue, deliveries: Deliveries
) -> None:
    """Nothing new is claimed, nothing running is cancelled."""
    deliveries.may_end.clear()
    async with working(redis_server, queue, deliveries) as worker:
        await queue.enqueue(fresh_id(), 1)
        await until(lambda: deliveries.begun, WITHIN_S, "start of the delivery")
        worker.stop_claiming()
        await queue.enqueue(fresh_id(), 1)
        finishing = asyncio.create_task(worker.finish_jobs())
        deliveries.may_end.set()
        await finishing
        assert len(deliveries.ended) == 1
        assert worker.tasks == {}


async def test_a_redis_restart_is_waited_out(keys: Keys, deliveries: Deliveries) -> None:
    """A job that runs meanwhile ends and frees its slot, though its books cannot be kept; what
    waited in the queue is run afterwards."""
    server = RedisServer()
    await server.start()
    redis = connect(server.url)
    queue = Queue(redis, keys, expiry_s=60.0)
    first, second = fresh_id(), fresh_id()
    deliveries.may_end.clear()
    try:
        async with working(server, queue, deliveries) as worker:
            await queue.enqueue(first, 1)
            await until(lambda: deliveries.begun, WITHIN_S, "start of the delivery")
            server.terminate()
            await server.wait(WITHIN_S)
            deliveries.may_end.set()
            await until(lambda: worker.job_counter == 0, WITHIN_S, "a free slot while redis is away")
            await server.restart()
            await queue.enqueue(second, 1)
            await until(lambda: len(deliveries.ended) == 2, WITHIN_S, "end of the delivery after the restart")
            await until(lambda: worker.job_counter == 0, WITHIN_S, "free slots")
        assert deliveries.begun == [first, second]
        assert await arq_keys(redis, second) == []
    finally:
        await redis.aclose()
        await server.stop()
