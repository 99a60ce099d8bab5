"""Connections to Redis: a cancelled command is really cancelled, and leaves nothing to the next."""

import asyncio
import random
from typing import Any

import pytest
from redis import exceptions as redis_errors
from redis.asyncio import Redis

from outlive.shared.errors import LogUnavailable
from outlive.shared.redis_url import Host
from outlive.shared.store.connect import connect, connect_blocking, pool, translate
from tests.support.ports import claim_port, release_port
from tests.support.redis_server import RedisServer
from tests.support.tcp_fault_proxy import CutConnection, TcpFaultProxy
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def only_one_of(redis: Redis) -> Any:
    """The connection of a client that has one, not in use."""
    [connection] = redis.connection_pool._available_connections
    return connection


async def test_no_cancellation_is_lost(redis_server: RedisServer) -> None:
    """A loop of commands ends when its task is cancelled, at whatever point that hits it."""
    redis = connect(redis_server.url)
    chance = random.Random(1)

    async def ping_for_ever() -> None:
        while True:
            await redis.ping()

    try:
        for _ in range(500):
            task = asyncio.create_task(ping_for_ever())
            for _ in range(chance.randrange(1, 30)):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=5)
            assert done, "a cancelled command went on"
    finally:
        await redis.aclose()


async def test_a_cancelled_command_leaves_no_reply_for_the_next(redis_server: RedisServer) -> None:
    """Fifty tasks, each reading its own key, half of them cancelled anywhere: nobody gets another's."""
    redis = connect(redis_server.url, connections=4)
    chance = random.Random(2)
    crossed: list[tuple[str, bytes | None]] = []

    async def read(name: str) -> None:
        await redis.set(name, name)
        for _ in range(20):
            found = await redis.get(name)
            if found != name.encode():
                crossed.append((name, found))

    try:
        for storm in range(10):
            tasks = [asyncio.create_task(read(f"cross-{storm}-{i}")) for i in range(50)]
            for task in tasks[::2]:
                for _ in range(chance.randrange(1, 10)):
                    await asyncio.sleep(0)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert not [r for r in results if isinstance(r, Exception)]
        assert crossed == []
    finally:
        await redis.aclose()


async def lose(redis: Redis, other: Redis) -> int:
    """The server closes the client's only connection, which was this one."""
    lost: int = await redis.client_id()
    await other.client_kill_filter(_id=str(lost))
    await until(only_one_of(redis)._reader.at_eof, 5.0, "the server's goodbye")
    return lost


async def test_a_connection_the_server_has_closed_is_not_used_again(redis_server: RedisServer) -> None:
    """Found before the use, so that also who never sends twice is answered."""
    redis, other = connect(redis_server.url, retries=0), connect(redis_server.url)
    try:
        lost = await lose(redis, other)
        assert await redis.client_id() != lost
    finally:
        await redis.aclose()
        await other.aclose()


async def test_who_waits_is_told_once_that_the_connection_was_lost(redis_server: RedisServer) -> None:
    """What was known of the connection holds no more, its id first of all."""
    redis, other = connect_blocking(redis_server.url), connect(redis_server.url)
    try:
        lost = await lose(redis, other)
        with pytest.raises(redis_errors.ConnectionError):
            await redis.ping()
        assert await redis.client_id() != lost
    finally:
        await redis.aclose()
        await other.aclose()


async def test_a_reply_nobody_took_is_not_taken_for_the_next(redis_server: RedisServer) -> None:
    """Whatever left it there: the connection is made anew."""
    redis = connect(redis_server.url, retries=0)
    try:
        first = await redis.client_id()
        connection = only_one_of(redis)
        await connection.send_command("ECHO", "stray")
        await until(lambda: bool(connection._reader._buffer), 5.0, "the reply")
        assert await redis.client_id() not in (first, b"stray")
    finally:
        await redis.aclose()


async def test_a_refused_password_is_said_once(redis_server: RedisServer) -> None:
    """It would be refused again, and each time the server's operator reads of it."""
    wrong = connect(redis_server.url.replace("unix://", "unix://nobody:wrong@"))
    other = connect(redis_server.url)
    try:
        with pytest.raises(redis_errors.ResponseError) as refused:
            await wrong.ping()
        assert isinstance(translate(refused.value), LogUnavailable)
        assert [entry["count"] for entry in await other.acl_log()] == [1]
    finally:
        await other.acl_log_reset()
        await wrong.aclose()
        await other.aclose()


async def test_a_greeting_that_is_cut_is_begun_anew() -> None:
    """What a new connection says first is a part of its command's tries."""
    cuts: list[CutConnection] = []

    def watch() -> CutConnection:
        cuts.append(CutConnection(replies_pass=len(cuts) == 3))
        return cuts[-1]

    server = RedisServer(tcp=True)
    link = TcpFaultProxy(server.port, watch)
    redis = connect(f"redis://127.0.0.1:{link.port}/1")
    try:
        await server.start()
        await link.start()
        assert await redis.ping()
        assert len(cuts) == 4
    finally:
        await redis.aclose()
        await link.stop()
        await server.stop()


class Finding:
    """Says where the server is, and how often it was asked: once for each connection that is tried."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[bool] = []

    async def find(self, again: bool) -> Host:
        self.asked.append(again)
        return "127.0.0.1", self.port


async def test_a_server_that_is_away_is_asked_once_for_each_try_of_a_command() -> None:
    """Connecting is repeated with its command, not within each repetition."""
    finding = Finding(claim_port())
    redis = Redis.from_pool(pool("redis://127.0.0.1/0", find=finding.find))
    try:
        with pytest.raises(redis_errors.ConnectionError):
            await redis.ping()
        assert finding.asked == [False, True, True, True]
    finally:
        await redis.aclose()
        release_port(finding.port)


async def test_a_server_that_hangs_is_waited_for_once() -> None:
    """Whoever asks has waited long enough then."""
    server = RedisServer(tcp=True)
    finding = Finding(server.port)
    redis = Redis.from_pool(pool("redis://127.0.0.1/0", reply_timeout_s=0.2, find=finding.find))
    try:
        await server.start()
        assert await redis.ping()
        server.pause()
        with pytest.raises(redis_errors.TimeoutError):
            await redis.ping()
        assert finding.asked == [False]
    finally:
        server.resume()
        await redis.aclose()
        await server.stop()
