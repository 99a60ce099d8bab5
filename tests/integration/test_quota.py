"""A tenant's places and requests, counted where all processes see them; and how full Redis is."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog
from outlive.shared.queue.queue import Queue
from outlive.shared.queue.quota import Quota, Reservation, TenantLimits, Wanted
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.memory_headroom import MemoryHeadroom, has_room
from tests.integration import logs
from tests.integration.logs import server_ms
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio


HOLD_S: Final = 10.0
LIMITS: Final = TenantLimits(generations=3, stored_bytes=1_000_000, waiting=5)
MANY: Final = LIMITS._replace(generations=1_000, waiting=1_000)


def quota_of(redis: Redis, keys: Keys, *, hold_s: float = HOLD_S) -> Quota:
    return Quota(redis, keys, hold_s=hold_s, max_deadline_s=60.0, max_retention_s=600.0)


@pytest.fixture
def quota(redis: Redis, keys: Keys) -> Quota:
    return quota_of(redis, keys)


def wanted(generation_id: str, tenant: str = "acme", request_bytes: int = 10) -> Wanted:
    return Wanted(generation_id, tenant, deadline_s=30.0, retention_s=300.0, request_bytes=request_bytes)


async def reserve(quota: Quota, generation_id: str, tenant: str = "acme") -> Reservation:
    return await quota.reserve(wanted(generation_id, tenant), LIMITS)


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
    """A process that dies between reserving and making costs the tenant its place for a lease."""
    for _ in range(3):
        await reserve(quota_of(redis, keys, hold_s=-1.0), fresh_id())
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


@pytest.mark.rule("R85")
async def test_a_place_is_held_for_a_lease_and_then_until_the_deadline(
    quota: Quota, queue: Queue, redis: Redis, keys: Keys
) -> None:
    """Prolonged by the delivery, also one of the sweep, which does not know the tenant."""
    for tenant in ("acme", None):
        generation_id, before = fresh_id(), await server_ms(redis)
        await reserve(quota, generation_id)
        ends = await redis.zscore(keys.active_of("acme"), generation_id)
        assert before + 10_000 <= ends <= await server_ms(redis) + 10_000
        await redis.zrem(keys.active_of("acme"), generation_id)
        await queue.enqueue(generation_id, 1, tenant=tenant)
        ends = await redis.zscore(keys.active_of("acme"), generation_id)
        assert before + 30_000 <= ends <= await server_ms(redis) + 45_000
        assert await redis.pttl(keys.active_of("acme")) > 0
        assert await reserve(quota, generation_id) is Reservation.HELD
        await queue.leave(generation_id)
        await queue.enqueue(generation_id, 2, tenant=tenant)
        assert await redis.zscore(keys.active_of("acme"), generation_id) is None, "it had left"


@pytest.mark.rule("R85")
async def test_without_a_reservation_none_is_made(queue: Queue, redis: Redis, keys: Keys) -> None:
    """Where callers need not authenticate, nothing is reserved."""
    await queue.enqueue(fresh_id(), 1, tenant="default")
    assert await redis.exists(keys.active_of("default"), keys.stored("default")) == 0


@pytest.mark.rule("R82")
async def test_a_tenant_stores_no_more_than_it_may(quota: Quota, queue: Queue) -> None:
    """However many ask at once; others go on; what is deleted, or was never made, is given back."""
    ids = [fresh_id() for _ in range(20)]
    replies = await asyncio.gather(*(quota.reserve(wanted(one, request_bytes=98_000), MANY) for one in ids))
    assert Counter(replies) == {Reservation.NEW: 9, Reservation.STORED: 11}
    assert await quota.reserve(wanted(fresh_id(), "other", 98_000), MANY) is Reservation.NEW

    made = [one for one, reply in zip(ids, replies, strict=True) if reply is Reservation.NEW]
    for one in made:
        await queue.enqueue(one, 1, tenant="acme")
        await queue.leave(one)
    assert await quota.reserve(wanted(fresh_id(), request_bytes=98_000), MANY) is Reservation.STORED
    assert await quota.reserve(wanted(made[0], request_bytes=98_000), MANY) is Reservation.NEW, "it is there already"
    await queue.forget(made[1], "acme")
    lost = fresh_id()
    assert await quota.reserve(wanted(lost, request_bytes=98_000), MANY) is Reservation.NEW
    assert await quota.reserve(wanted(fresh_id(), request_bytes=98_000), MANY) is Reservation.STORED
    await queue.leave(lost, kept_s=0)
    assert await quota.reserve(wanted(fresh_id(), request_bytes=98_000), MANY) is Reservation.NEW


@pytest.mark.rule("R82")
async def test_stored_bytes_count_until_the_retention_ends(
    quota: Quota, queue: Queue, redis: Redis, keys: Keys
) -> None:
    """With those of the log; for a lease before the first delivery; and they are forgotten by themselves."""
    generation_id, before = fresh_id(), await server_ms(redis)
    stored, in_bytes = keys.stored("acme"), keys.stored_bytes("acme")

    async def ends_in_s() -> float:
        return float((await redis.zscore(stored, generation_id) - before) / 1000)

    async def total() -> int:
        values: Any = await redis.execute_command("HMGET", in_bytes, generation_id, "total")  # type: ignore[no-untyped-call]
        assert values[0] == values[1]
        return int(values[1])

    await quota.reserve(wanted(generation_id, request_bytes=500), LIMITS)
    assert 10 <= await ends_in_s() < 15
    counted = await total()
    assert 500 <= counted < 5_000
    await queue.enqueue(generation_id, 1, tenant="acme")
    assert 330 <= await ends_in_s() < 345
    await queue.leave(generation_id)
    assert 300 <= await ends_in_s() < 310
    for _ in range(2):
        await queue.leave(generation_id, log_bytes=7_000, kept_s=60.0)
    assert await total() == counted + 7_000
    assert 60 <= await ends_in_s() < 70
    assert min(await redis.pttl(stored), await redis.pttl(in_bytes)) > 0

    await redis.zadd(stored, {generation_id: before})
    other = fresh_id()
    await quota.reserve(wanted(other), LIMITS)
    assert await redis.zrange(stored, 0, -1) == [other.encode()]
    assert int((await redis.hgetall(in_bytes))[b"total"]) == int((await redis.hgetall(in_bytes))[other.encode()])  # type: ignore[misc]


@pytest.mark.rule("R82")
@pytest.mark.parametrize("by", ["worker", "sweep"])
async def test_the_request_of_an_answer_that_failed_empty_is_kept_shortly(
    eventlog: EventLog, redis: Redis, keys: Keys, by: str
) -> None:
    """A large one: whoever fills Redis must at least have had an answer. The log is kept as long as ever."""
    for size_bytes, texts, kept_s in ((70_000, (), 60), (60_000, (), 600), (70_000, ("said",), 600)):
        new = replace(logs.new_generation(retention_s=600.0), request=b"{" + b" " * size_bytes + b"}")
        await eventlog.create(new)
        taken = await eventlog.take(new.id, "one")
        if texts:
            await logs.append(eventlog, logs.tokens(new.id, taken.epoch, 1, *texts))
        if by == "worker":
            await logs.append(eventlog, logs.failure(new.id, taken.epoch, 1 + len(texts)))
        else:
            await eventlog.fail(new.id, "worker_lost", "x", retryable=True)
        assert kept_s - 10 < await redis.ttl(keys.request(new.id)) <= kept_s
        assert 590 < await redis.ttl(keys.log(new.id)) <= 600


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
