"""The hub when Redis cannot be read: who waits, who is sent elsewhere, and what is looked at afterwards."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.hub import Hub
from shared.connection import connect
from shared.cursor import START
from shared.eventlog import EventLog
from shared.keys import Keys
from shared.logreader import LogReader
from shared.settings import load
from tests.integration import logs
from tests.integration.screens import Screen, running_hub
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

KEYS = Keys("tc")


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
    settings = load({"TOKENCAST_REDIS_URL": server.url, "TOKENCAST_LEASE_S": "0.3"})
    async with running_hub(Hub(settings, LogReader(redis, KEYS), redis)) as made:
        yield made


@pytest.mark.rule("R20")
async def test_a_redis_that_stays_away_sends_its_viewers_elsewhere(
    server: RedisServer, redis: Redis, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleanly, without a terminal: another replica may reach it."""
    monkeypatch.setattr("api.hub._AWAY_S", 0.3)
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    generation_id, _ = await logs.running(eventlog)
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen.send, fold=False)
    await until(screen.shows("attempt"), 5, "the beginning")
    server.kill()
    await until(lambda: screen.ended, 10, "the end of the response")
    hub.detach(viewer)

    assert screen.kinds == ["queued", "attempt"]
    assert screen.retry_ms is not None


@pytest.mark.rule("R8")
async def test_a_redis_that_comes_back_with_less_is_noticed(server: RedisServer, redis: Redis, hub: Hub) -> None:
    """After every reconnect the last event shown is looked for: what the new server never had is told."""
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen.send, fold=False)
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
