"""Owns the log and the queue on the tests' real server, under keys of their own."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.connection import connect
from shared.eventlog import EventLog, LogLimits
from shared.keys import Keys
from shared.logreader import LogReader
from shared.queue import Queue
from tests.support.redis_server import RedisServer

LIMITS = LogLimits(lease_s=10.0, max_attempts=3, max_deadline_s=3600.0, max_retention_s=86_400.0)


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
