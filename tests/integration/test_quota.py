"""A tenant's places and requests, counted where all processes see them; and how full Redis is."""

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from outlive.shared.queue.queue import Queue
from outlive.shared.queue.quota import Quota, Reservation
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.memory_headroom import MemoryHeadroom, has_room
from tests.integration.logs import server_ms
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio


@pytest.fixture
def quota(redis: Redis, keys: Keys) -> Quota:
    return Quota(redis, keys, expiry_s=60.0)


async def reserve(quota: Quota, generation_id: str, tenant: str = "acme", lasts_s: float = 30.0) -> Reservation:
    return await quota.reserve(generation_id, tenant, max_active=3, max_waiting=5, lasts_s=lasts_s)


@pytest.mark.rule("R55")
async def test_a_tenant_never_has_more_places_than_it_may(quota: Quota, queue: Queue) -> None:
    """However many ask at once; another tenant has all of its own, and what left is free again."""
    ids = [fresh_id() for _ in range(20)]
    places = await asyncio.gather(*(reserve(quota, generation_id) for generation_id in ids))
    assert Counter(places) == {Reservation.NEW: 3, Reservation.FULL: 17}
    assert await reserve(quota, fresh_id(), "other") is Reservation.NEW

    held = ids[places.index(Reservation.NEW)]
    assert await reserve(quota, held) is Reservation.HELD
    await queue.leave(held)
    assert await reserve(quota, fresh_id()) is Reservation.NEW
    assert await reserve(quota, fresh_id()) is Reservation.FULL


@pytest.mark.rule("R55")
async def test_a_place_that_nobody_gave_back_expires(quota: Quota, redis: Redis, keys: Keys) -> None:
    """A process that dies between reserving and making costs the tenant its place until the deadline."""
    for _ in range(3):
        await reserve(quota, fresh_id(), lasts_s=-10.0)
    assert await reserve(quota, fresh_id()) is Reservation.NEW
    assert await redis.zcard(keys.active_of("acme")) == 1
    assert await redis.pttl(keys.active_of("acme")) > 0


@pytest.mark.rule("R55")
async def test_a_backlog_takes_no_more(quota: Quota, queue: Queue, redis: Redis, keys: Keys) -> None:
    """What would only wait is refused, whoever asks."""
    for _ in range(5):
        await queue.enqueue(fresh_id(), 1)
    assert await reserve(quota, fresh_id()) is Reservation.BACKLOG
    assert await redis.zcard(keys.active_of("acme")) == 0


@pytest.mark.rule("R56")
async def test_requests_are_counted_by_the_minute(quota: Quota, redis: Redis, keys: Keys) -> None:
    """Which begins with the first of them, and ends by itself."""
    rates = await asyncio.gather(*(quota.count_request("acme") for _ in range(30)))
    assert sorted(rate.asked for rate in rates) == list(range(1, 31))
    assert all(0 < rate.left_s <= 60 for rate in rates)
    assert (await quota.count_request("other")).asked == 1
    await redis.persist(keys.requests("acme"))
    assert (await quota.count_request("acme")).left_s == 60
    await redis.pexpire(keys.requests("acme"), 1)
    before = await server_ms(redis)
    while await server_ms(redis) < before + 2:
        pass
    assert (await quota.count_request("acme")).asked == 1


@pytest.mark.rule("R57")
@pytest.mark.parametrize(
    ("used", "limit", "expected"), [(79, 100, True), (80, 100, False), (100, 100, False), (10**12, 0, True)]
)
def test_there_is_room_below_the_share(used: int, limit: int, expected: bool) -> None:
    """A server without a limit has room."""
    assert has_room({"used_memory": used, "maxmemory": limit}, 0.8) is expected


@pytest.mark.rule("R57")
async def test_a_server_that_tells_nothing_has_room(redis: Redis) -> None:
    """And one that does is asked once a second."""
    now_s, asked = 1000.0, 0

    async def servers() -> list[Redis]:
        nonlocal asked
        asked += 1
        return [redis]

    room = MemoryHeadroom(servers, share=0.8, monotonic=lambda: now_s)
    assert [await room.has() for _ in range(3)] == [True] * 3
    assert asked == 1
    now_s += 1
    assert await room.has()
    assert asked == 2
    assert has_room({}, 0.8)
