"""The hub when Redis cannot be read: who waits, who is sent elsewhere, and what is looked at afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.hub import Hub
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.settings import load
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.integration.watched_hub import running_hub
from tests.support.fanout import Screen
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

KEYS = Keys("ol")


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """One that may be killed."""
    made = RedisServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def hub(server: RedisServer, redis: Redis) -> AsyncIterator[Hub]:
    settings = load({"OUTLIVE_REDIS_URL": server.url, "OUTLIVE_LEASE_S": "0.3"})
    async with (
        aclosing(OneServer(server.url)) as plane,
        running_hub(Hub(settings, LogReader(redis, KEYS), plane, ApiMetrics())) as made,
    ):
        yield made


@pytest.mark.rule("R20")
async def test_a_redis_that_stays_away_sends_its_viewers_elsewhere(
    server: RedisServer, redis: Redis, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleanly, without a terminal: another replica may reach it."""
    monkeypatch.setattr("outlive.api.fanout.feed_checks._AWAY_S", 0.3)
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    generation_id, _ = await logs.running(eventlog)
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen, UNFOLDED)
    await until(screen.shows("attempt"), 5, "the beginning")
    server.kill()
    await until(lambda: screen.ended, 10, "the end of the response")
    hub.detach(viewer)

    assert screen.kinds == ["queued", "attempt"]
    assert screen.retry_ms is not None


@pytest.mark.rule("R8")
async def test_a_redis_that_comes_back_with_less_is_noticed(server: RedisServer, redis: Redis, hub: Hub) -> None:
    """After every reconnect the last event shown is looked for in the log: viewers learn what the server lost."""
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen, UNFOLDED)
    await until(lambda: len(screen.frames) == 4, 5, "all of it")
    # The last entry goes; meta stays, as after a crash in the middle of an fsync.
    await redis.xdel(KEYS.log(generation_id), f"{taken.epoch}-2")
    await redis.hset(KEYS.meta(generation_id), "seq", "1")  # type: ignore[misc]  # typed for its synchronous client too
    server.kill()
    await server.start()
    await until(screen.shows("reset"), 10, "a reset")
    await until(lambda: screen.kinds[-1] == "token", 5, "the log from its start")
    hub.detach(viewer)

    assert screen.kinds[screen.kinds.index("reset") :] == ["reset", "queued", "attempt", "token"]


@pytest.mark.rule("R8")
async def test_an_attempt_a_failover_lost_is_waited_for(server: RedisServer, redis: Redis, hub: Hub) -> None:
    """Its worker lives and begins it again in the log as it was: whoever saw it is not reset, nor is
    one that comes meanwhile with its cursor."""
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    generation_id = await logs.created(eventlog)
    # What a replica had of it before the take.
    kept = {key: await redis.dump(key) for key in (KEYS.meta(generation_id), KEYS.log(generation_id))}
    taken = await eventlog.take(generation_id, "one")
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    seeing, coming = Screen(), Screen()
    viewer = await hub.attach(generation_id, START, seeing, UNFOLDED)
    await until(seeing.shows("token"), 5, "what will be lost")
    for key, value in kept.items():
        await redis.restore(key, 0, value, replace=True)
    server.kill()
    await server.start()
    await until(
        lambda: any(opened.missing_since is not None for opened in hub.feeds), 10, "a check of the log without it"
    )
    late = asyncio.ensure_future(hub.attach(generation_id, Cursor(taken.epoch, 1), coming, UNFOLDED))
    await eventlog.heal(generation_id, "one", taken)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    await until(lambda: seeing.kinds.count("token") == 2, 10, "what follows")
    hub.detach(viewer)
    hub.detach(await late)

    assert seeing.kinds == ["queued", "attempt", "token", "token"]
    assert "reset" not in coming.kinds
