"""Reading: a look at meta, pages, whether a cursor is there, the live end."""

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import GenerationGone, GenerationNotFound, OutliveError
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LARGE_PAGE, PAGE, Logged, LogReader, Question
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import Status
from outlive.shared.store.keyspace import Keys
from tests.integration import logs
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio


async def test_a_look_follows_the_life_of_a_generation(eventlog: EventLog, reader: LogReader) -> None:
    """Queued, running, closed; times appear when they come to pass."""
    generation_id = await logs.created(eventlog)
    queued = await reader.meta(generation_id, logs.TENANT)
    assert (queued.status, queued.model, queued.metadata, queued.attempt) == (
        Status.QUEUED,
        logs.MODEL,
        b'{"a":1}',
        0,
    )
    assert (queued.started_at, queued.finished_at, queued.terminal) == (None, None, None)
    taken = await eventlog.take(generation_id, "one")
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    live = await reader.meta(generation_id, logs.TENANT)
    assert (live.status, live.attempt, live.last, live.is_closed) == (Status.RUNNING, 1, Cursor(taken.epoch, 2), False)
    await logs.append(eventlog, logs.completion(generation_id, taken.epoch, 3))
    closed = await reader.meta(generation_id, logs.TENANT)
    assert (closed.status, closed.last, closed.terminal) == (
        Status.COMPLETED,
        Cursor(taken.epoch, 3),
        Cursor(taken.epoch, 3),
    )
    assert closed.started_at is not None
    assert closed.finished_at is not None
    assert closed.created_at <= closed.started_at <= closed.finished_at


@pytest.mark.rule("R5")
async def test_a_cancelled_log_points_at_its_terminal(eventlog: EventLog, reader: LogReader) -> None:
    """In its own epoch, and that is the last event."""
    generation_id, taken = await logs.running(eventlog)
    await eventlog.cancel(generation_id)
    closed = await reader.meta(generation_id, logs.TENANT)
    assert closed.terminal == closed.last
    assert closed.last > taken.cursor


@pytest.mark.rule("R19")
async def test_anothers_generation_looks_unknown(eventlog: EventLog, reader: LogReader) -> None:
    """Alive or deleted: 404 and 410 must not tell a stranger that it exists."""
    generation_id = await logs.created(eventlog)
    for _ in range(2):
        with pytest.raises(GenerationNotFound):
            await reader.meta(generation_id, "stranger")
        await eventlog.delete(generation_id, logs.TENANT)
    with pytest.raises(GenerationGone):
        await reader.meta(generation_id, logs.TENANT)
    with pytest.raises(GenerationNotFound):
        await reader.meta(fresh_id(), logs.TENANT)


@pytest.mark.rule("R23")
async def test_meta_without_a_log_is_gone(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """The log expires a day before meta."""
    generation_id = await logs.created(eventlog)
    await redis.delete(keys.log(generation_id))
    with pytest.raises(GenerationGone):
        await reader.meta(generation_id, logs.TENANT)


async def test_many_looks_answer_in_order(eventlog: EventLog, reader: LogReader) -> None:
    """One pipeline: meta, the tenant of what is gone, None for what never was."""
    open_id, deleted = await logs.created(eventlog), await logs.created(eventlog)
    await eventlog.delete(deleted, logs.TENANT)
    unknown, gone, found = await reader.metas([fresh_id(), deleted, open_id])
    assert (unknown, gone) == (None, logs.TENANT)
    assert found == await reader.meta(open_id, logs.TENANT)


@pytest.mark.rule("R1")
async def test_pages_give_every_event_once(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """From any cursor exactly what follows it, in order."""
    generation_id, taken = await logs.running(eventlog)
    texts = [f"{n % 10}" for n in range(PAGE + 90)]
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, *texts))
    log = await logs.whole_log(redis, keys, generation_id)
    pages, after = [], START
    while page := await reader.page(generation_id, after):
        assert len(page) <= PAGE
        pages += page
        after = page[-1].cursor
    assert pages == log
    assert len(log) == PAGE + 92
    for at in (0, 1, 300, len(log) - 1):
        assert await reader.page(generation_id, log[at].cursor) == log[at + 1 :][:PAGE]


@pytest.mark.parametrize("events", [2, PAGE, PAGE + 1, LARGE_PAGE, LARGE_PAGE + 1, 2 * LARGE_PAGE])
async def test_a_whole_log_is_every_event_once(
    eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys, events: int
) -> None:
    """Also one that ends exactly where a page does."""
    generation_id, taken = await logs.running(eventlog)
    before = len(await logs.whole_log(redis, keys, generation_id))
    for seq in range(1, 1 + events - before, PAGE):
        texts = ["x"] * min(PAGE, 1 + events - before - seq)
        await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, seq, *texts))
    log = await logs.whole_log(redis, keys, generation_id)
    assert [event async for page in reader.pages(generation_id) for event in page] == log
    assert len(log) == events


@pytest.mark.rule("R12")
async def test_a_type_of_a_later_version_is_passed_on(
    eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys
) -> None:
    """With its id and as it is, so that a viewer that ignores it still resumes after it."""
    generation_id, taken = await logs.running(eventlog)
    later = Cursor(taken.epoch, 1)
    await redis.xadd(keys.log(generation_id), {"type": "hologram", "data": '{"of":"you"}'}, id=str(later))
    assert await reader.page(generation_id, taken.cursor) == [(later, b"hologram", b'{"of":"you"}')]
    assert await reader.has(generation_id, later)


@pytest.mark.rule("R8")
async def test_only_what_is_in_the_log_is_had(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """Not the future, not between two epochs, not another generation's, not START."""
    generation_id, taken = await logs.running(eventlog)
    other, others = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(other, others.epoch, 1, "a"))
    for entry in await logs.whole_log(redis, keys, generation_id):
        assert await reader.has(generation_id, entry.cursor)
    absent = [
        START, Cursor(taken.epoch, 1), Cursor(taken.epoch + 1, 0), Cursor(taken.epoch - 1, 5), Cursor(others.epoch, 1),
        Cursor(2**64 - 1, 2**64 - 1),
    ]  # fmt: skip
    assert not [cursor for cursor in absent if await reader.has(generation_id, cursor)]
    await eventlog.delete(generation_id, logs.TENANT)
    assert not await reader.has(generation_id, taken.cursor)


@pytest.mark.rule("R8", "R75")
async def test_what_follows_a_cursor_comes_only_if_the_log_has_it(eventlog: EventLog, reader: LogReader) -> None:
    """Of many logs in one pipeline: XRANGE alone would skip what a log has lost."""
    (one, first), (two, second) = await logs.running(eventlog), await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(one, first.epoch, 1, "a", "b", "c"))
    lost, unknown = Cursor(second.epoch, 7), "gen_" + "0" * 32
    pages = await reader.pages_from([
        Question(one, Cursor(first.epoch, 1), 9), Question(one, START, 2), Question(one, Cursor(first.epoch, 3), 9),
        Question(two, lost, 9), Question(unknown, START, 9),
    ])  # fmt: skip
    seqs = [None if page is None else [entry.cursor.seq for entry in page] for page in map(_page, pages)]
    assert seqs == [[2, 3], [0, 0], [], None, None]


def _page(page: list[Logged] | OutliveError | None) -> list[Logged] | None:
    assert not isinstance(page, OutliveError)
    return page


@pytest.mark.rule("R76")
async def test_one_call_compares_many_logs(eventlog: EventLog, reader: LogReader) -> None:
    """And names those whose newest event is another one, or that are gone."""
    made = [(i, taken.cursor) for i, taken in [await logs.running(eventlog) for _ in range(4)]]
    assert await reader.differing(made) == set()
    await logs.append(eventlog, logs.tokens(made[1][0], made[1][1].epoch, 1, "a"))
    await eventlog.delete(made[2][0], logs.TENANT)
    assert await reader.differing(made) == {made[1][0], made[2][0]}
