"""The blocking read of an API process: a log that is added is read at once, whatever became of the connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.tail_reader import TailReader
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START
from outlive.shared.store.connect import connect_blocking
from outlive.shared.store.keyspace import Keys
from tests.integration import logs
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WITHIN_S = 2.0
"""Below the 5 s after which a read ends by itself."""


class Reading:
    """A reader at work, and what it has delivered."""

    def __init__(self, redis: Redis, blocking: Redis) -> None:
        self.seen: set[str] = set()
        self.outages = 0
        self.connection_id = 0
        self._blocking = blocking
        self.reader = TailReader(blocking, redis.client_unblock, self._deliver, self._reconnected)

    def _deliver(self, tails: Mapping[str, Sequence[Logged]]) -> int:
        self.seen |= tails.keys()
        return 0

    def _reconnected(self) -> None:
        self.outages += 1

    async def reads(self, key: str) -> None:
        self.reader.watch(key, START)
        await until(lambda: key in self.seen, WITHIN_S, f"the events of {key}")

    async def rests(self, redis: Redis) -> None:
        """Nothing is watched, and no read waits any more."""
        for key in self.seen:
            self.reader.forget(key)
        [self.connection_id] = [int(client["id"]) for client in await redis.client_list() if client["cmd"] == "xread"]

        async def ended() -> bool:
            await redis.client_unblock(self.connection_id)
            return self._unused() is not None

        await until(ended, WITHIN_S, "the end of the read")

    def is_cut(self) -> bool:
        """The end of the connection that nobody uses has arrived."""
        connection = self._unused()
        return bool(connection and connection._reader.at_eof())

    def _unused(self) -> Any:
        return next(iter(self._blocking.connection_pool._available_connections), None)


@pytest.fixture
async def reading(redis_server: RedisServer, redis: Redis) -> AsyncIterator[Reading]:
    blocking = connect_blocking(redis_server.url)
    made = Reading(redis, blocking)
    task = asyncio.create_task(made.reader.run())
    yield made
    task.cancel()
    await asyncio.wait({task})
    await blocking.aclose()


async def test_a_log_that_is_added_ends_the_read_that_waits(eventlog: EventLog, keys: Keys, reading: Reading) -> None:
    """One connection serves both, and blocks without the second."""
    made = [(await logs.running(eventlog))[0] for _ in range(2)]
    for generation_id in made:
        await reading.reads(keys.log(generation_id))
    assert reading.outages == 0


async def test_a_connection_lost_between_two_reads_is_noticed(
    redis: Redis, eventlog: EventLog, keys: Keys, reading: Reading
) -> None:
    """The next read is on another one, which has another id to be woken by; and the server may be another one."""
    made = [(await logs.running(eventlog))[0] for _ in range(3)]
    await reading.reads(keys.log(made[0]))
    await reading.rests(redis)
    await redis.client_kill_filter(_id=str(reading.connection_id))
    await until(reading.is_cut, WITHIN_S, "the server's goodbye")
    for generation_id in made[1:]:
        await reading.reads(keys.log(generation_id))
    assert reading.outages == 1
