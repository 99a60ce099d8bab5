"""Attempts that are over are held until a replica has their last event."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from outlive.shared.store.replicas import Replicas
from outlive.worker.publishing.publisher import Publisher
from outlive.worker.publishing.replication_hold import ReplicationHold
from tests.integration.logs import said
from tests.integration.saved_log import SavedLog
from tests.integration.watched_publisher import WITHIN_S, WatchedLog, completed, opened, publishing, say
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

KEYS = Keys("ol")


@pytest.fixture
async def primary() -> AsyncIterator[RedisServer]:
    server = RedisServer(tcp=True, name="primary")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def redis(primary: RedisServer) -> AsyncIterator[Redis]:
    client = connect(primary.url)
    yield client
    await client.aclose()


@asynccontextmanager
async def _replica_of(primary: RedisServer) -> AsyncIterator[RedisServer]:
    """A replica that is in step."""
    options = ["--replicaof", primary.host, str(primary.port)]
    replica = await RedisServer(tcp=True, options=options, name="replica").start()
    async with Redis.from_url(primary.url) as client:

        async def in_step() -> bool:
            info = await client.info("replication")
            return bool(info["connected_slaves"] and info["slave0"]["state"] == "online")

        await until(in_step, WITHIN_S, "a replica in step")
    try:
        yield replica
    finally:
        await replica.stop()


@asynccontextmanager
async def _holding(primary: RedisServer, publisher: Publisher, *, limit: int = 10) -> AsyncIterator[ReplicationHold]:
    plane = OneServer(primary.url)
    replicas = Replicas(plane, KEYS)
    hold = ReplicationHold(replicas, publisher, time.monotonic, limit=limit)
    running = asyncio.create_task(hold.run())
    try:
        yield hold
    finally:
        running.cancel()
        await asyncio.wait({running})
        await replicas.aclose()
        await plane.aclose()


@pytest.mark.rule("R26")
async def test_a_terminal_lost_before_a_replica_had_it_is_written_again(primary: RedisServer, redis: Redis) -> None:
    """The replica is stopped and a failover loses the end: the same bytes are written again, and the attempt is held
    until a replica has them."""
    log = WatchedLog(redis, KEYS)
    async with (
        publishing(log) as publisher,
        _replica_of(primary) as replica,
        _holding(primary, publisher) as hold,
    ):
        generation_id, publication = await opened(publisher, log)
        await say(publication, "a", "b")
        saved = SavedLog(redis, KEYS, generation_id)
        await saved.save()
        replica.pause()
        await completed(publication)
        hold.hold(publication)
        whole = await said(redis, KEYS, generation_id)
        await saved.restore()

        async def written_again() -> bool:
            return await said(redis, KEYS, generation_id) == whole

        await until(written_again, WITHIN_S, "the end, again")
        gone = asyncio.create_task(hold.wait_until_empty())
        await asyncio.sleep(0)
        assert not gone.done()
        replica.resume()
        await asyncio.wait_for(gone, WITHIN_S)
        assert [kind for kind, _ in whole] == ["queued", "attempt", "token", "token", "completed"]


@pytest.mark.rule("R26")
async def test_without_replicas_nothing_is_held(primary: RedisServer, redis: Redis) -> None:
    """There is nothing to wait for."""
    log = WatchedLog(redis, KEYS)
    async with publishing(log) as publisher, _holding(primary, publisher) as hold:
        _, publication = await opened(publisher, log)
        await completed(publication)
        hold.hold(publication)
        await asyncio.wait_for(hold.wait_until_empty(), WITHIN_S)


@pytest.mark.rule("R26")
async def test_no_more_are_held_than_may(primary: RedisServer, redis: Redis) -> None:
    """One more releases the oldest, whatever the replica has."""
    log = WatchedLog(redis, KEYS)
    async with (
        publishing(log) as publisher,
        _replica_of(primary) as replica,
        _holding(primary, publisher, limit=2) as hold,
    ):
        replica.pause()
        for _ in range(4):
            _, publication = await opened(publisher, log)
            await completed(publication)
            hold.hold(publication)
            assert len(hold) <= 2
        replica.resume()
        await asyncio.wait_for(hold.wait_until_empty(), WITHIN_S)
