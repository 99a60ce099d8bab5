"""Which generations are queued or run, as whoever admits or scales reads it in `ol:active`."""

import asyncio

import pytest
from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.sweep import Sweep
from outlive.shared.queue.queue import Queue
from outlive.shared.store.keyspace import Keys
from tests.integration.logs import created, server_ms
from tests.support.ids import fresh_id
from tests.support.metrics_reading import unread_worker_metrics
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R44")
async def test_a_generation_is_active_from_its_first_delivery_until_it_leaves(
    queue: Queue, redis: Redis, keys: Keys
) -> None:
    """Through claim and hand-over, until its deadline at the latest, and whoever repeats it counts nothing twice."""
    generation_id, before = fresh_id(), await server_ms(redis)
    await queue.enqueue(generation_id, 1, lasts_s=30)
    assert await queue.backlog() == (1, 1)
    ends = await redis.zscore(keys.active, generation_id)
    assert before + 30_000 <= ends <= await server_ms(redis) + 30_000

    await queue.claim(1)
    assert await queue.backlog() == (1, 0)
    await queue.enqueue(generation_id, 2)
    assert await queue.backlog() == (1, 1)
    assert await redis.zscore(keys.active, generation_id) == ends, "a later delivery moved the end"

    for _ in range(2):
        await queue.leave(generation_id)
        assert await queue.backlog() == (0, 1)


@pytest.mark.rule("R44")
async def test_what_never_left_is_counted_out_at_its_deadline(queue: Queue, redis: Redis, keys: Keys) -> None:
    """A worker that dies after the last event says nothing more; any later enqueueing or claim counts out."""
    for touch in (lambda: queue.claim(1), lambda: queue.enqueue(fresh_id(), 1)):
        await redis.zadd(keys.active, {"gen_left": await server_ms(redis)})
        await touch()
        assert await redis.zscore(keys.active, "gen_left") is None


@pytest.mark.rule("R44")
async def test_what_the_sweep_ends_leaves(queue: Queue, eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """With no worker alive as well: past its deadline nothing is active any more."""
    generation_id = await created(eventlog, deadline_s=0.01)
    await redis.zadd(keys.active, {generation_id: await server_ms(redis) + 60_000})
    sweeping = asyncio.create_task(Sweep(eventlog, queue, unread_worker_metrics(), lease_s=0.2).run())
    try:
        await until(lambda: _is_empty(redis, keys.active), 5.0, "nothing active")
    finally:
        sweeping.cancel()


async def _is_empty(redis: Redis, key: str) -> bool:
    return not await redis.exists(key)
