"""The queue plane: one delivery, one arq job; claimed once, announced once, nothing pickled."""

import asyncio
import time
from typing import Any

import pytest
from arq.constants import job_key_prefix
from arq.jobs import deserialize_job_raw
from redis.asyncio import Redis

from outlive.shared.queue.queue import JOB_FUNCTION, WAKE_S, Queue, deserialize
from outlive.shared.store.connect import connect_blocking
from outlive.shared.store.keyspace import Keys
from tests.integration.logs import server_ms
from tests.support.ids import fresh_id
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R21")
async def test_a_delivery_is_one_job_arq_can_read(queue: Queue, redis: Redis) -> None:
    """arq's own deserializer, with our JSON; the only argument is the id."""
    generation_id = fresh_id()
    before = await server_ms(redis)
    assert await queue.enqueue(generation_id, 10)
    stored = await redis.get(f"{job_key_prefix}{generation_id}:10")
    function, args, kwargs, _, enqueued_ms = deserialize_job_raw(stored, deserializer=deserialize)
    assert (function, list(args), kwargs) == (JOB_FUNCTION, [generation_id], {})
    assert before <= enqueued_ms <= await server_ms(redis)
    assert 0 < await redis.pttl(f"{job_key_prefix}{generation_id}:10") <= 60_000


@pytest.mark.rule("R21")
async def test_nothing_in_redis_is_a_pickle(queue: Queue, redis: Redis, keys: Keys) -> None:
    """Whoever can write to Redis must not thereby run code here."""
    generation_id = fresh_id()
    await queue.enqueue(generation_id, 1)
    stored = await redis.get(f"{job_key_prefix}{generation_id}:1")
    assert stored.isascii()
    assert stored.startswith(b"{")
    with pytest.raises(ValueError, match="utf-8"):
        deserialize(b"\x80\x04}\x94.")
    assert {await redis.type(key) for key in (keys.queue, keys.wake)} == {b"zset", b"list"}


@pytest.mark.rule("R21")
async def test_a_delivery_that_waits_is_not_doubled(queue: Queue, redis: Redis, keys: Keys) -> None:
    """However often the sweep comes by; after the claim the next one is added."""
    generation_id = fresh_id()
    assert await queue.enqueue(generation_id, 1)
    assert not await queue.enqueue(generation_id, 2)
    assert await redis.zcard(keys.queue) == await _call(redis, "llen", keys.wake) == 1
    assert await claim(queue, 10) == [f"{generation_id}:1"]
    assert await queue.enqueue(generation_id, 3)
    assert await claim(queue, 10) == [f"{generation_id}:3"]


@pytest.mark.rule("R7", "R21")
async def test_enqueueing_again_after_a_lost_reply_adds_nothing(queue: Queue) -> None:
    """Not even when it was claimed meanwhile; an older delivery never follows a newer one."""
    generation_id = fresh_id()
    assert await queue.enqueue(generation_id, 2)
    assert not await queue.enqueue(generation_id, 2)
    assert await claim(queue, 1) == [f"{generation_id}:2"]
    assert not await queue.enqueue(generation_id, 2)
    assert not await queue.enqueue(generation_id, 1)
    assert await claim(queue, 1) == []


@pytest.mark.rule("R21")
async def test_claims_share_out_all_jobs_once(queue: Queue) -> None:
    """Oldest first, never more than asked for, each to one claimer."""
    ids = [fresh_id() for _ in range(50)]
    for generation_id in ids:
        await queue.enqueue(generation_id, 1)
        # Same millisecond, then order by name: that is Redis's, and uuid7 names rise.
    assert await claim(queue, 0) == []
    claims = await asyncio.gather(*(claim(queue, 7) for _ in range(10)))
    assert max(len(claim) for claim in claims) == 7
    claimed = [job_id for claim in claims for job_id in claim]
    assert sorted(claimed) == sorted(f"{generation_id}:1" for generation_id in ids)
    assert await claim(queue, 7) == []


@pytest.mark.rule("R21")
async def test_a_job_of_the_future_waits(queue: Queue, redis: Redis, keys: Keys) -> None:
    """Due is what Redis's own clock says."""
    await redis.zadd(keys.queue, {"later:1": await server_ms(redis) + 60_000, "now:1": await server_ms(redis)})
    assert await claim(queue, 10) == ["now:1"]


async def test_each_delivery_wakes_one_waiter(
    queue: Queue, redis_server: RedisServer, redis: Redis, keys: Keys
) -> None:
    """Two wait, one comes back at once; the other only after its time."""
    first, second = connect_blocking(redis_server.url), connect_blocking(redis_server.url)
    try:
        waiting = {asyncio.create_task(queue.wait_for_wake(client)) for client in (first, second)}
        await _until_blocked(redis, 2)
        await queue.enqueue(fresh_id(), 1)
        done, pending = await asyncio.wait(waiting, timeout=WAKE_S / 2, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(pending)) == (1, 1)
        assert await _call(redis, "llen", keys.wake) == 0
        await asyncio.gather(*waiting)
    finally:
        await first.aclose()
        await second.aclose()


async def test_waiting_ends_by_itself(queue: Queue, redis_server: RedisServer) -> None:
    """A lost wake costs this long, not for ever."""
    client = connect_blocking(redis_server.url)
    try:
        began = time.monotonic()
        await queue.wait_for_wake(client)
        assert WAKE_S * 0.9 < time.monotonic() - began < WAKE_S + 2
    finally:
        await client.aclose()


async def test_wakes_nobody_takes_do_not_pile_up(queue: Queue, redis: Redis, keys: Keys) -> None:
    """With all workers busy the list stays short."""
    await _call(redis, "rpush", keys.wake, *["1"] * 1500)
    await queue.enqueue(fresh_id(), 1)
    assert await _call(redis, "llen", keys.wake) == 1000


@pytest.mark.rule("R18")
async def test_a_hint_reaches_every_worker(queue: Queue, redis_server: RedisServer, redis: Redis, keys: Keys) -> None:
    """Whoever listens hears the id; nobody listening is no error."""
    generation_id = fresh_id()
    await queue.hint(generation_id)
    clients = [connect_blocking(redis_server.url) for _ in range(2)]

    async def both_listen() -> bool:
        return bool((await redis.pubsub_numsub(keys.hints))[0][1] == 2)

    try:
        listeners = [queue.hints(client) for client in clients]
        heard = [asyncio.ensure_future(anext(listener)) for listener in listeners]
        await until(both_listen, 5.0, "both workers listen")
        async with asyncio.timeout(5.0):
            await queue.hint(generation_id)
            assert await asyncio.gather(*heard) == [generation_id] * 2
        for listener in listeners:
            await listener.aclose()  # type: ignore[attr-defined]
    finally:
        for client in clients:
            await client.aclose()


async def claim(queue: Queue, limit: int) -> list[str]:
    """What was claimed, without how long it waited."""
    return [claimed.job_id for claimed in await queue.claim(limit)]


async def _until_blocked(redis: Redis, clients: int) -> None:
    async def blocked() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"] >= clients)

    await until(blocked, 5.0, f"{clients} blocked clients")


async def _call(redis: Redis, command: str, *words: str) -> Any:
    # redis-py types these for its synchronous client as well.
    return await redis.execute_command(command, *words)  # type: ignore[no-untyped-call]
