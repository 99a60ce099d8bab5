"""Owns the log and the queue on the tests' real server, under keys of their own."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.queue.queue import Queue
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import LIMITS
from tests.integration.watched_publisher import WatchedLog, publishing
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """One client of short commands."""
    client = connect(redis_server.url)
    yield client
    await client.aclose()


@pytest.fixture
def keys(key_prefix: str) -> Keys:
    return Keys(key_prefix)


@pytest.fixture
def eventlog(redis: Redis, keys: Keys) -> EventLog:
    return EventLog(redis, keys, LIMITS)


@pytest.fixture
def reader(redis: Redis, keys: Keys) -> LogReader:
    return LogReader(redis, keys)


@pytest.fixture
def queue(redis: Redis, keys: Keys) -> Queue:
    return Queue(redis, keys, expiry_s=60.0)


@pytest.fixture
def log(redis: Redis, keys: Keys) -> WatchedLog:
    return WatchedLog(redis, keys)


@pytest.fixture
async def publisher(log: WatchedLog) -> AsyncIterator[Publisher]:
    async with publishing(log) as publisher:
        yield publisher
