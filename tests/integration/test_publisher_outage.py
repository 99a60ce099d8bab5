"""The publisher while Redis is away or full: nothing is dropped, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from outlive.shared.log.replies import TakeReply
from outlive.shared.model.events import Token
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.worker.publishing.publication import Publication
from tests.integration.logs import running, said, whole_log
from tests.integration.watched_publisher import (
    LEASE_S,
    WITHIN_S,
    WatchedLog,
    acknowledged,
    completed,
    opened,
    publishing,
    say,
    texts,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def _talk(publication: Publication, words: int) -> None:
    """As an attempt does: no faster than there is room."""
    for n in range(words):
        if publication.is_full:
            await publication.wait_for_room()
        publication.add(Token(f"{n} "))
        await asyncio.sleep(0)
    await completed(publication)


@pytest.mark.rule("R22")
async def test_nothing_is_lost_while_redis_is_away(keys: Keys) -> None:
    """Stopped in the middle of two answers and started again: the talk pauses, then all of it is
    there, once, in order; and new work waits until others may have renewed their leases."""
    server = RedisServer()
    await server.start()
    redis = connect(server.url)
    log = WatchedLog(redis, keys)
    words = 2000
    try:
        async with publishing(log) as publisher:
            pairs: list[tuple[str, TakeReply]] = [await running(log) for _ in range(2)]
            publications = [publisher.open(generation_id, "one", taken) for generation_id, taken in pairs]
            assert not publisher.is_in_grace
            talks = [asyncio.create_task(_talk(publication, words)) for publication in publications]
            await until(lambda: len(log.sent) >= 5, WITHIN_S, "some flushes", every_s=0)
            server.terminate()
            await server.wait(WITHIN_S)
            await until(lambda: publisher.is_in_grace, WITHIN_S, "publisher noticing")
            await until(lambda: all(p.is_full for p in publications), WITHIN_S, "full buffers")
            assert not any(talk.done() for talk in talks)
            await server.start()
            await asyncio.wait_for(asyncio.gather(*talks), 30.0)
            for generation_id, _ in pairs:
                assert "".join(await texts(redis, keys, generation_id)) == "".join(f"{n} " for n in range(words))
                kinds = [entry.type for entry in await whole_log(redis, keys, generation_id)]
                assert kinds[-1] == b"completed"
                assert kinds.count(b"attempt") == 1
            await until(lambda: not publisher.is_in_grace, WITHIN_S, "new work wanted again")
    finally:
        await redis.aclose()
        await server.stop()


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """One of its own, to be filled or held."""
    server = RedisServer(appendonly=False)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def small(server: RedisServer) -> AsyncIterator[tuple[Redis, WatchedLog]]:
    """A client of that server, and a log on it."""
    redis = connect(server.url)
    yield redis, WatchedLog(redis, Keys("ol"))
    await redis.aclose()


@pytest.mark.rule("R10")
async def test_a_server_that_hung_is_given_half_a_lease_like_one_that_failed(
    small: tuple[Redis, WatchedLog], server: RedisServer
) -> None:
    """Nothing was refused and nothing broke: nobody answered. Others' leases ran out all the same."""
    redis, log = small
    async with publishing(log) as publisher:
        loop = asyncio.get_running_loop()
        await redis.ping()
        assert not publisher.is_in_grace
        server.pause()
        await until(lambda: publisher.is_in_grace, WITHIN_S, "the silence noticed", every_s=0.01)
        taking = asyncio.create_task(publisher.wait_out_grace("gen_any"))
        server.resume()
        await redis.ping()
        resumed_at = loop.time()
        await taking
        assert loop.time() - resumed_at > 0.4 * LEASE_S


async def _fill(redis: Redis) -> None:
    await redis.config_set("maxmemory", "1mb")


@pytest.mark.rule("R11")
async def test_a_redis_that_stays_full_fails_the_answer_with_what_got_in(small: tuple[Redis, WatchedLog]) -> None:
    """`capacity`, after the time it may wait; the worker is told to stop like by any other end."""
    redis, log = small
    async with publishing(log) as publisher:
        generation_id, publication = await opened(publisher, log)
        await say(publication, "written")
        await _fill(redis)
        publication.add(Token("refused"))
        await asyncio.wait_for(publication.lost.wait(), WITHIN_S)
    entries = await said(redis, Keys("ol"), generation_id)
    assert [kind for kind, _ in entries] == ["queued", "attempt", "token", "failed"]
    last = entries[-1][1]
    assert (last["code"], last["retryable"], last["chars"], last["events"]) == ("capacity", True, len("written"), 3)
    assert last["cut"] == f"{publication.epoch}-1"


@pytest.mark.rule("R11")
async def test_a_redis_that_is_full_for_a_moment_costs_a_pause(small: tuple[Redis, WatchedLog]) -> None:
    """What was refused is written when there is room again, once."""
    redis, log = small
    async with publishing(log, full_s=600.0) as publisher:
        generation_id, publication = await opened(publisher, log)
        await _fill(redis)
        publication.add(Token("late"))
        await until(lambda: publisher.is_in_grace, WITHIN_S, "a refusal")
        await redis.config_set("maxmemory", "0")
        await acknowledged(publication)
        await completed(publication)
    assert [kind for kind, _ in await said(redis, Keys("ol"), generation_id)] == [
        "queued",
        "attempt",
        "token",
        "completed",
    ]
