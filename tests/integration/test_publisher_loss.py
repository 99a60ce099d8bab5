"""The publisher on a log that loses things, or that it has lost: healed alike, or not written to again."""

import asyncio

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import Logged
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.events import Token
from outlive.shared.store.keyspace import Keys
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import TENANT, created, expire_lease, whole_log
from tests.integration.saved_log import SavedLog
from tests.integration.watched_publisher import (
    LEASE_S,
    WITHIN_S,
    WatchedLog,
    acknowledged,
    completed,
    opened,
    say,
    texts,
    turns,
)
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def _lost_tail(
    publisher: Publisher, log: EventLog, redis: Redis, keys: Keys
) -> tuple[str, Publication, list[Logged]]:
    """A log that has lost three events its worker knows to be in, and what it held."""
    generation_id, publication = await opened(publisher, log)
    saved = SavedLog(redis, keys, generation_id)
    await say(publication, "a", "b")
    await saved.save()
    await say(publication, "c", "d", "\ud83d")
    before = await whole_log(redis, keys, generation_id)
    await saved.restore()
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
    saved = SavedLog(redis, keys, generation_id)
    await saved.save()
    publication = publisher.open(generation_id, "one", await log.take(generation_id, "one"))
    await say(publication, "a", "b")
    before = await whole_log(redis, keys, generation_id)
    await saved.restore()
    await say(publication, "c")
    assert (await whole_log(redis, keys, generation_id))[:-1] == before
    await completed(publication)
    assert publication.reply is None


@pytest.mark.rule("R6")
async def test_an_attempt_whose_healing_is_refused_sends_nothing_more(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """It ended between BEHIND and the healing: whatever the attempt still holds stays with it."""
    generation_id = await created(log)
    saved = SavedLog(redis, keys, generation_id)
    await saved.save()
    publication = publisher.open(generation_id, "one", await log.take(generation_id, "one"))
    await say(publication, "a")
    await saved.restore()

    async def cancel() -> None:
        log.sent.clear()
        await log.cancel(generation_id)

    log.before_heal = cancel
    publication.add(Token("b"))
    await asyncio.wait_for(publication.lost.wait(), WITHIN_S)
    assert publication.reply is ReplyCode.CLOSED
    # One flush carries all that waits: had it been woken, it would have gone with one of these.
    _, other = await opened(publisher, log)
    await say(other, "x", "y")
    assert generation_id not in {batch.generation_id for batches in log.sent for batch in batches}


@pytest.mark.rule("R4", "R6")
async def test_a_fenced_attempt_writes_nothing_more(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Another took it: `lost` is set, and whoever goes on is told."""
    generation_id, publication = await opened(publisher, log)
    await say(publication, "a")
    await expire_lease(redis, keys, generation_id)
    assert (await log.take(generation_id, "two")).code is ReplyCode.OK
    before = await whole_log(redis, keys, generation_id)
    publication.add(Token("b"))
    await asyncio.wait_for(publication.lost.wait(), WITHIN_S)
    assert publication.reply is ReplyCode.FENCED
    for _ in range(2):
        with pytest.raises(OwnershipLost):
            publication.add(Token("c"))
    with pytest.raises(OwnershipLost):
        await completed(publication)
    assert await whole_log(redis, keys, generation_id) == before


@pytest.mark.rule("R6")
@pytest.mark.parametrize(("verb", "answer"), [("cancel", ReplyCode.CLOSED), ("delete", ReplyCode.GONE)])
async def test_a_hint_tells_a_silent_attempt_that_it_is_over(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys, verb: str, answer: ReplyCode
) -> None:
    """Without a hint the next renewal would; with it, at once and though nothing is said."""
    generation_id, publication = await opened(publisher, log)
    await say(publication, "a")
    await (log.cancel(generation_id) if verb == "cancel" else log.delete(generation_id, TENANT))
    before = await whole_log(redis, keys, generation_id)
    await publisher.check(generation_id)
    assert publication.lost.is_set()
    assert publication.reply is answer
    with pytest.raises(OwnershipLost):
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
    waiting = [asyncio.create_task(pairs[0][1].wait_for_room()), asyncio.create_task(completed(pairs[1][1]))]
    await turns(5)
    for generation_id, _ in pairs:
        await log.cancel(generation_id)
    log.may_send.set()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), WITHIN_S)
    assert [type(end) for end in ends] == [OwnershipLost, OwnershipLost]


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
    await acknowledged(new)
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
    assert old.reply is ReplyCode.FENCED
    assert new.reply is None
