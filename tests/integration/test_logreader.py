"""Reading: a look at meta, pages, whether a cursor is there, the live end."""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.connection import connect_blocking
from shared.cursor import START, Cursor
from shared.errors import GenerationGone, GenerationNotFound
from shared.eventlog import EventLog
from shared.generation import Status, new_id
from shared.keys import Keys
from shared.logreader import PAGE, LogReader, read_tails
from tests.integration.logs import MODEL, TENANT, append, completion, created, running, tokens, whole_log
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_a_look_follows_the_life_of_a_generation(eventlog: EventLog, reader: LogReader) -> None:
    """Queued, running, closed; times appear when they come to pass."""
    generation_id = await created(eventlog)
    queued = await reader.meta(generation_id, TENANT)
    assert (queued.status, queued.model, queued.metadata, queued.attempt) == (Status.QUEUED, MODEL, b'{"a":1}', 0)
    assert (queued.started_at, queued.finished_at, queued.terminal) == (None, None, None)
    taken = await eventlog.take(generation_id, "one")
    await append(eventlog, tokens(generation_id, taken.epoch, 1, "a", "b"))
    live = await reader.meta(generation_id, TENANT)
    assert (live.status, live.attempt, live.last, live.is_closed) == (Status.RUNNING, 1, Cursor(taken.epoch, 2), False)
    await append(eventlog, completion(generation_id, taken.epoch, 3))
    closed = await reader.meta(generation_id, TENANT)
    assert (closed.status, closed.last, closed.terminal) == (Status.COMPLETED, Cursor(taken.epoch, 3), Cursor(taken.epoch, 3))
    assert closed.started_at is not None
    assert closed.finished_at is not None
    assert closed.created_at <= closed.started_at <= closed.finished_at


@pytest.mark.rule("R5")
async def test_a_cancelled_log_points_at_its_terminal(eventlog: EventLog, reader: LogReader) -> None:
    """In its own epoch, and that is the last event."""
    generation_id, taken = await running(eventlog)
    await eventlog.cancel(generation_id)
    closed = await reader.meta(generation_id, TENANT)
    assert closed.terminal == closed.last
    assert closed.last > taken.cursor


@pytest.mark.rule("R19")
async def test_anothers_generation_looks_unknown(eventlog: EventLog, reader: LogReader) -> None:
    """Alive or deleted: 404 and 410 must not tell a stranger that it exists."""
    generation_id = await created(eventlog)
    for _ in range(2):
        with pytest.raises(GenerationNotFound):
            await reader.meta(generation_id, "stranger")
        await eventlog.delete(generation_id, TENANT)
    with pytest.raises(GenerationGone):
        await reader.meta(generation_id, TENANT)
    with pytest.raises(GenerationNotFound):
        await reader.meta(new_id(), TENANT)


@pytest.mark.rule("R23")
async def test_meta_without_a_log_is_gone(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """The log expires a day before meta."""
    generation_id = await created(eventlog)
    await redis.delete(keys.log(generation_id))
    with pytest.raises(GenerationGone):
        await reader.meta(generation_id, TENANT)


async def test_many_looks_answer_in_order(eventlog: EventLog, reader: LogReader) -> None:
    """One pipeline: meta, the tenant of what is gone, None for what never was."""
    open_id, deleted = await created(eventlog), await created(eventlog)
    await eventlog.delete(deleted, TENANT)
    unknown, gone, found = await reader.metas([new_id(), deleted, open_id])
    assert (unknown, gone) == (None, TENANT)
    assert found == await reader.meta(open_id, TENANT)


@pytest.mark.rule("R1")
async def test_pages_give_every_event_once(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """From any cursor exactly what follows it, in order."""
    generation_id, taken = await running(eventlog)
    texts = [f"{n % 10}" for n in range(PAGE + 90)]
    await append(eventlog, tokens(generation_id, taken.epoch, 1, *texts))
    log = await whole_log(redis, keys, generation_id)
    pages, after = [], START
    while page := await reader.page(generation_id, after):
        assert len(page) <= PAGE
        pages += page
        after = page[-1].cursor
    assert pages == log
    assert len(log) == PAGE + 92
    for at in (0, 1, 300, len(log) - 1):
        assert await reader.page(generation_id, log[at].cursor) == log[at + 1 :][:PAGE]


@pytest.mark.rule("R8")
async def test_only_what_is_in_the_log_is_had(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """Not the future, not between two epochs, not another generation's, not START."""
    generation_id, taken = await running(eventlog)
    other, others = await running(eventlog)
    await append(eventlog, tokens(other, others.epoch, 1, "a"))
    for entry in await whole_log(redis, keys, generation_id):
        assert await reader.has(generation_id, entry.cursor)
    absent = [
        START, Cursor(taken.epoch, 1), Cursor(taken.epoch + 1, 0), Cursor(taken.epoch - 1, 5), Cursor(2**64 - 1, 2**64 - 1),
        Cursor(others.epoch, 1),
    ]  # fmt: skip
    assert not [cursor for cursor in absent if await reader.has(generation_id, cursor)]
    await eventlog.delete(generation_id, TENANT)
    assert not await reader.has(generation_id, taken.cursor)


async def test_tails_wait_for_what_comes(eventlog: EventLog, reader: LogReader, redis_server: RedisServer) -> None:
    """One blocking read for several logs, each after its own cursor."""
    (one, first), (two, second) = await running(eventlog), await running(eventlog)
    client = connect_blocking(redis_server.url)
    try:
        cursors = {reader.log_key(one): first.cursor, reader.log_key(two): second.cursor}
        waiting = asyncio.create_task(read_tails(client, cursors, count=10))
        await append(eventlog, tokens(one, first.epoch, 1, "a"))
        (found,) = (await waiting).items()
        assert (found[0], [entry.cursor for entry in found[1]]) == (reader.log_key(one), [Cursor(first.epoch, 1)])
        await append(eventlog, tokens(two, second.epoch, 1, "b", "c", "d"))
        both = await read_tails(client, cursors, count=2)
        assert {key: len(entries) for key, entries in both.items()} == {reader.log_key(one): 1, reader.log_key(two): 2}
    finally:
        await client.aclose()


async def test_a_tail_of_nothing_comes_back_empty(
    eventlog: EventLog, reader: LogReader, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BLOCK is finite: a deleted log wakes nobody."""
    monkeypatch.setattr("shared.logreader.BLOCK_S", 0.05)
    generation_id, taken = await running(eventlog)
    client = connect_blocking(redis_server.url)
    try:
        waiting = asyncio.create_task(read_tails(client, {reader.log_key(generation_id): taken.cursor}, count=10))
        await eventlog.delete(generation_id, TENANT)
        assert await asyncio.wait_for(waiting, 5.0) == {}
    finally:
        await client.aclose()
