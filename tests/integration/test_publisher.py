"""The publisher on a real log: one flush for all, nothing lost, nothing after the place is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.answers import Answer, SeqReply, TakeReply
from shared.connection import connect
from shared.errors import LostPlace, TokencastError
from shared.eventlog import Batch, EventLog
from shared.events import Completed, Reasoning, Token, Usage
from shared.keys import Keys
from shared.logreader import Logged
from tests.integration.conftest import LIMITS
from tests.integration.logs import TENANT, created, expire_lease, running, said, whole_log
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from worker.outbox import OutboxLimits
from worker.publisher import Publication, Publisher

pytestmark = pytest.mark.anyio

WITHIN_S = 10.0
LEASE_S = 2.0
MOST = 4
_OUTBOX = OutboxLimits(unflushed_events=MOST, max_event_bytes=1024, max_output_bytes=100_000)


class WatchedLog(EventLog):
    """The log, with a look at what is sent to it and a hand on when."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys, LIMITS)
        self.sent: list[list[Batch]] = []
        self.may_send = asyncio.Event()
        self.may_send.set()

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | TokencastError]:
        self.sent.append(list(batches))
        await self.may_send.wait()
        return await super().append(batches)


@pytest.fixture
def log(redis: Redis, keys: Keys) -> WatchedLog:
    return WatchedLog(redis, keys)


@asynccontextmanager
async def publishing(eventlog: EventLog) -> AsyncIterator[Publisher]:
    """A publisher at work."""
    publisher = Publisher(eventlog, _OUTBOX, lease_s=LEASE_S)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def publisher(log: WatchedLog) -> AsyncIterator[Publisher]:
    async with publishing(log) as publisher:
        yield publisher


async def opened(publisher: Publisher, log: EventLog) -> tuple[str, Publication]:
    """A place to write for an attempt just taken."""
    generation_id, taken = await running(log)
    return generation_id, publisher.open(generation_id, "one", taken)


async def settled(*publications: Publication) -> None:
    """Everything said so far is in the log."""
    await until(lambda: all(p.outbox.is_settled for p in publications), WITHIN_S, "all in the log", every_s=0.002)


async def say(publication: Publication, *texts: str) -> None:
    """One event each: the next is said when the last is in the log."""
    for text in texts:
        publication.add(Token(text))
        await settled(publication)


async def completed(publication: Publication) -> None:
    outbox = publication.outbox
    await publication.close(Completed("stop", Usage(1, 1, 2), outbox.chars, outbox.events_with_terminal()))


async def texts(redis: Redis, keys: Keys, generation_id: str) -> list[str]:
    """The log's tokens, in order."""
    return [data["text"] for kind, data in await said(redis, keys, generation_id) if kind == "token"]


async def turns(count: int) -> None:
    """Let everything run that can run now: no timer has its time in so few turns."""
    for _ in range(count):
        await asyncio.sleep(0)


class Tail:
    """Meta and log as they are now, to be put back later: what a failover makes of a primary."""

    def __init__(self, redis: Redis, keys: Keys, generation_id: str) -> None:
        self._redis = redis
        self._keys = (keys.meta(generation_id), keys.log(generation_id))
        self._dumps: list[Any] = []

    async def keep(self) -> None:
        self._dumps = [await self._redis.dump(key) for key in self._keys]

    async def lose(self) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            for key, dump in zip(self._keys, self._dumps, strict=True):
                pipe.restore(key, 0, dump, replace=True)
            await pipe.execute()


async def test_a_lone_token_leaves_at_once(publisher: Publisher, log: WatchedLog) -> None:
    """Within a few turns of the event loop: no timer gathers tokens when nothing is under way."""
    _, publication = await opened(publisher, log)
    await turns(5)
    publication.add(Token("a"))
    await turns(5)
    assert [len(batches) for batches in log.sent] == [1]
    await settled(publication)


async def test_what_arrives_during_a_flush_becomes_one_event(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Three tokens joined, a reasoning apart, all with the next flush."""
    generation_id, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("a"))
    await until(lambda: log.sent, WITHIN_S, "first flush")
    for delta in (Token("b"), Token("c"), Reasoning("d")):
        publication.add(delta)
    log.may_send.set()
    await settled(publication)
    assert len(log.sent) == 2
    assert (await said(redis, keys, generation_id))[2:] == [
        ("token", {"text": "a"}), ("token", {"text": "bc"}), ("reasoning", {"text": "d"}),
    ]  # fmt: skip


async def test_one_flush_carries_all_generations(publisher: Publisher, log: WatchedLog) -> None:
    """Group commit: while one is under way, ten others gather for the next."""
    _, first = await opened(publisher, log)
    others = [(await opened(publisher, log))[1] for _ in range(10)]
    log.may_send.clear()
    first.add(Token("a"))
    await until(lambda: log.sent, WITHIN_S, "first flush")
    for publication in others:
        publication.add(Token("b"))
    log.may_send.set()
    await settled(first, *others)
    assert [len(batches) for batches in log.sent] == [1, 10]


@pytest.mark.rule("R22")
async def test_a_full_buffer_waits_until_it_is_flushed(publisher: Publisher, log: WatchedLog) -> None:
    """Pieces count, joined or not: a buffer that only grows in bytes is not bounded."""
    _, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("0"))
    await until(lambda: log.sent, WITHIN_S, "a flush under way")
    for n in range(1, MOST):
        assert not publication.is_full
        publication.add(Token(str(n)))
    assert publication.is_full
    waiting = asyncio.create_task(publication.room())
    await turns(20)
    assert not waiting.done()
    log.may_send.set()
    await asyncio.wait_for(waiting, WITHIN_S)
    assert not publication.is_full


async def test_the_last_event_goes_alone_and_is_waited_for(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Alone, because it alone may pass when Redis is full."""
    generation_id, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("a"))
    closing = asyncio.create_task(completed(publication))
    await until(lambda: log.sent, WITHIN_S, "a flush under way")
    assert not closing.done()
    log.may_send.set()
    await asyncio.wait_for(closing, WITHIN_S)
    assert [kind for kind, _ in await said(redis, keys, generation_id)] == ["queued", "attempt", "token", "completed"]
    assert [[entry.type for entry in batch.entries] for (batch,) in log.sent] == [["token"], ["completed"]]


async def _lost_tail(
    publisher: Publisher, log: EventLog, redis: Redis, keys: Keys
) -> tuple[str, Publication, list[Logged]]:
    """A log that has lost three events its worker knows to be in, and what it held."""
    generation_id, publication = await opened(publisher, log)
    tail = Tail(redis, keys, generation_id)
    await say(publication, "a", "b")
    await tail.keep()
    await say(publication, "c", "d", "\ud83d")
    before = await whole_log(redis, keys, generation_id)
    await tail.lose()
    assert await whole_log(redis, keys, generation_id) == before[:-3]
    return generation_id, publication, before


@pytest.mark.rule("R1", "R2")
async def test_a_gap_is_filled_with_the_same_bytes(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """The next token finds that a tail is missing; ids and bytes are those that viewers have."""
    generation_id, publication, before = await _lost_tail(publisher, log, redis, keys)
    await say(publication, "e")
    after = await whole_log(redis, keys, generation_id)
    assert after[:-1] == before
    assert await texts(redis, keys, generation_id) == ["a", "b", "c", "d", "\ud83d", "e"]


@pytest.mark.rule("R1", "R2")
async def test_a_silent_upstreams_lost_tail_is_found_by_the_renewal(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Nothing new is said, and yet the log is whole again within a lease."""
    generation_id, _, before = await _lost_tail(publisher, log, redis, keys)

    async def whole() -> bool:
        return await whole_log(redis, keys, generation_id) == before

    await until(whole, LEASE_S, "the same log again")


@pytest.mark.rule("R1", "R2")
async def test_a_lost_take_is_healed(publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys) -> None:
    """The log answers BEHIND: the attempt's beginning is written again as it was, then all of it."""
    generation_id = await created(log)
    tail = Tail(redis, keys, generation_id)
    await tail.keep()
    publication = publisher.open(generation_id, "one", await log.take(generation_id, "one"))
    await say(publication, "a", "b")
    before = await whole_log(redis, keys, generation_id)
    await tail.lose()
    await say(publication, "c")
    assert (await whole_log(redis, keys, generation_id))[:-1] == before
    await completed(publication)
    assert publication.answer is None


@pytest.mark.rule("R4", "R6")
async def test_a_fenced_attempt_writes_nothing_more(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Another took it: `lost` is set, and whoever goes on is told."""
    generation_id, publication = await opened(publisher, log)
    await say(publication, "a")
    await expire_lease(redis, keys, generation_id)
    assert (await log.take(generation_id, "two")).answer is Answer.OK
    before = await whole_log(redis, keys, generation_id)
    publication.add(Token("b"))
    await asyncio.wait_for(publication.lost.wait(), WITHIN_S)
    assert publication.answer is Answer.FENCED
    for _ in range(2):
        with pytest.raises(LostPlace):
            publication.add(Token("c"))
    with pytest.raises(LostPlace):
        await completed(publication)
    assert await whole_log(redis, keys, generation_id) == before


@pytest.mark.rule("R6")
@pytest.mark.parametrize(("verb", "answer"), [("cancel", Answer.CLOSED), ("delete", Answer.GONE)])
async def test_a_hint_tells_a_silent_attempt_that_it_is_over(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys, verb: str, answer: Answer
) -> None:
    """Without a hint the next renewal would; with it, at once and though nothing is said."""
    generation_id, publication = await opened(publisher, log)
    await say(publication, "a")
    await (log.cancel(generation_id) if verb == "cancel" else log.delete(generation_id, TENANT))
    before = await whole_log(redis, keys, generation_id)
    await publisher.look(generation_id)
    assert publication.lost.is_set()
    assert publication.answer is answer
    with pytest.raises(LostPlace):
        publication.add(Token("b"))
    assert await whole_log(redis, keys, generation_id) == before


@pytest.mark.rule("R6")
async def test_whoever_waits_for_room_or_for_the_end_hears_of_the_loss(publisher: Publisher, log: WatchedLog) -> None:
    """Nobody waits for ever at a log that is closed."""
    pairs = [await opened(publisher, log) for _ in range(2)]
    log.may_send.clear()
    for _, publication in pairs:
        publication.add(Token("0"))
    await until(lambda: log.sent, WITHIN_S, "a flush under way")
    for _, publication in pairs:
        while not publication.is_full:
            publication.add(Token("1"))
    waiting = [asyncio.create_task(pairs[0][1].room()), asyncio.create_task(completed(pairs[1][1]))]
    await turns(5)
    for generation_id, _ in pairs:
        await log.cancel(generation_id)
    log.may_send.set()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), WITHIN_S)
    assert [type(end) for end in ends] == [LostPlace, LostPlace]


@pytest.mark.rule("R4", "R6")
async def test_two_attempts_at_one_generation_here_do_not_touch_each_other(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """A worker that was stopped for longer than a lease may take its own generation again: the
    old attempt learns that it is fenced, the new one is flushed and renewed."""
    generation_id, old = await opened(publisher, log)
    await expire_lease(redis, keys, generation_id)
    new = publisher.open(generation_id, "two", await log.take(generation_id, "two"))
    new.add(Token("new"))
    old.add(Token("old"))
    await asyncio.wait_for(old.lost.wait(), WITHIN_S)
    publisher.forget(old)
    await settled(new)
    assert await texts(redis, keys, generation_id) == ["new"]


@pytest.mark.rule("R6")
async def test_an_old_attempt_that_is_silent_learns_of_the_new_one(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Its renewals go on although a newer attempt runs here: it must close its upstream."""
    generation_id, old = await opened(publisher, log)
    await expire_lease(redis, keys, generation_id)
    new = publisher.open(generation_id, "two", await log.take(generation_id, "two"))
    await asyncio.wait_for(old.lost.wait(), WITHIN_S)
    assert old.answer is Answer.FENCED
    assert new.answer is None


async def _talk(publication: Publication, words: int) -> None:
    """As an attempt does: no faster than there is room."""
    for n in range(words):
        if publication.is_full:
            await publication.room()
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
            assert not publisher.is_settling
            talks = [asyncio.create_task(_talk(publication, words)) for publication in publications]
            await until(lambda: len(log.sent) >= 5, WITHIN_S, "some flushes", every_s=0)
            server.terminate()
            await server.wait(WITHIN_S)
            await until(lambda: publisher.is_settling, WITHIN_S, "publisher noticing")
            await until(lambda: all(p.is_full for p in publications), WITHIN_S, "full buffers")
            assert not any(talk.done() for talk in talks)
            await server.start()
            await asyncio.wait_for(asyncio.gather(*talks), 30.0)
            for generation_id, _ in pairs:
                assert "".join(await texts(redis, keys, generation_id)) == "".join(f"{n} " for n in range(words))
                kinds = [entry.type for entry in await whole_log(redis, keys, generation_id)]
                assert kinds[-1] == b"completed"
                assert kinds.count(b"attempt") == 1
            await until(lambda: not publisher.is_settling, WITHIN_S, "new work wanted again")
    finally:
        await redis.aclose()
        await server.stop()
