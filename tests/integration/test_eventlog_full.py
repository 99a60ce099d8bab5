"""A Redis that is full: what it still accepts, and what it refuses."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import LogFull
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.replies import ReplyCode, SeqReply
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from tests.integration import logs
from tests.integration.logs import LIMITS
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small_redis() -> AsyncIterator[Redis]:
    """A server of its own, to be filled."""
    server = RedisServer(appendonly=False)
    await server.start()
    client = connect(server.url)
    yield client
    await client.aclose()
    await server.stop()


@pytest.mark.rule("R11")
async def test_a_full_redis_still_lets_generations_end(small_redis: Redis, keys: Keys) -> None:
    """Nothing new is accepted; leases, terminals, cancels and deletes are."""
    eventlog = EventLog(small_redis, keys, LIMITS)
    (one, first), (two, _), (three, third) = [await logs.running(eventlog) for _ in range(3)]
    await logs.append(eventlog, logs.tokens(one, first.epoch, 1, "a"))
    await small_redis.config_set("maxmemory", "1mb")
    with pytest.raises(LogFull):
        await logs.append(eventlog, logs.tokens(one, first.epoch, 2, "b"))
    with pytest.raises(LogFull):
        await eventlog.create(logs.new_generation())
    with pytest.raises(LogFull):
        await eventlog.take(await _queued_before(eventlog, small_redis), "one")
    assert await logs.renew(eventlog, one, first.epoch) == SeqReply(ReplyCode.OK, 1)
    assert await logs.append(eventlog, logs.completion(one, first.epoch, 2)) == SeqReply(ReplyCode.OK, 2)
    assert await eventlog.cancel(two) == (ReplyCode.OK, "cancelled")
    assert (await eventlog.release(three, third.epoch, "worker_shutdown")).code is ReplyCode.OK
    assert await eventlog.delete(three, logs.TENANT) is ReplyCode.OK
    assert [kind for kind, _ in await logs.said(small_redis, keys, one)] == [
        "queued",
        "attempt",
        "token",
        "completed",
    ]


async def _queued_before(eventlog: EventLog, redis: Redis) -> str:
    await redis.config_set("maxmemory", "0")
    generation_id = await logs.created(eventlog)
    await redis.config_set("maxmemory", "1mb")
    return generation_id


@pytest.mark.rule("R11")
async def test_a_terminal_with_events_before_it_waits(small_redis: Redis, keys: Keys) -> None:
    """Only alone may it pass: a batch would grow Redis past its limit."""
    eventlog = EventLog(small_redis, keys, LIMITS)
    generation_id, taken = await logs.running(eventlog)
    whole = logs.tokens(generation_id, taken.epoch, 1, "a")
    last = logs.completion(generation_id, taken.epoch, 2)
    batch = whole._replace(entries=[*whole.entries, *last.entries], terminal=last.terminal)
    await small_redis.config_set("maxmemory", "1mb")
    with pytest.raises(LogFull):
        await logs.append(eventlog, batch)
    assert await logs.append(eventlog, last) == SeqReply(ReplyCode.GAP, 0)
    await small_redis.config_set("maxmemory", "0")
    assert await logs.append(eventlog, batch) == SeqReply(ReplyCode.OK, 2)
