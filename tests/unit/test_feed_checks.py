"""Open feeds compared with their logs: what is gone ends, what was lost is waited for and then read again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from outlive.api.fanout.end_waiter import EndWaiter
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed_checks import FeedChecks
from outlive.api.metrics import ApiMetrics
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.generation import Meta, Status
from tests.support.fanout import EPOCH, HEAL_S, ID, Clock, Logs, event, events, feeds_of, payload

pytestmark = pytest.mark.anyio

AWAY_S = 5.0


def _meta(seq: int, *, status: Status = Status.RUNNING, epoch: int = EPOCH) -> Meta:
    return Meta("acme", status, "demo", Cursor(epoch, seq), 1, None, b"{}", 0.0, None, None)


class Checked:
    """A feed of three events that somebody watches, and the checks of it."""

    def __init__(self) -> None:
        self.logs = Logs(events(3))
        self.logs.metas_of[ID] = _meta(2)
        self.clock = Clock()
        self.metrics = ApiMetrics()
        self.feeds, self.source = feeds_of(self.logs, clock=self.clock)
        self.opened = self.feeds.open(ID)
        self.waiter = EndWaiter(self.opened.feed)
        self.feeds.add_watcher(self.opened, self.waiter)
        self.checks = FeedChecks(self.logs, self.metrics, self.feeds, heal_s=HEAL_S, clock=self.clock)

    async def check(self) -> None:
        """Compare, twice if the feed was not quiet before, and read what differs."""
        for _ in range(2 if self.opened.compared is None else 1):
            await self.checks.compare()
        while self.feeds._catch_up._tasks:
            await asyncio.sleep(0)

    def lose_tail(self) -> None:
        """What a failover to a replica that was behind does."""
        self.logs.logs[ID] = events(2)
        self.logs.metas_of[ID] = _meta(1)

    @property
    def incarnation(self) -> int:
        return self.opened.feed.incarnation


@pytest.fixture
async def checked() -> AsyncIterator[Checked]:
    made = Checked()
    await made.feeds.wait_until_read(made.opened)
    yield made
    made.feeds.close()


async def test_a_feed_that_agrees_with_its_log_is_left_alone(checked: Checked) -> None:
    """However often it is compared."""
    for _ in range(3):
        checked.clock.now += HEAL_S
        await checked.check()
    assert (checked.incarnation, checked.opened.feed.ending) == (0, None)


@pytest.mark.parametrize("meta", [None, "acme"])
async def test_a_log_that_is_gone_ends_its_feed(checked: Checked, meta: str | None) -> None:
    """Deleted, or past its retention: no event says so."""
    checked.logs.metas_of[ID] = meta
    del checked.logs.logs[ID]
    await checked.check()
    assert await checked.waiter.wait() is Ending.GONE
    assert len(checked.feeds) == 0


@pytest.mark.rule("R8")
async def test_a_lost_tail_is_waited_for_and_then_the_log_is_read_again(checked: Checked) -> None:
    """Its worker may be about to write it again."""
    checked.lose_tail()
    await checked.check()
    checked.clock.now += HEAL_S
    await checked.check()
    assert checked.incarnation == 0
    checked.clock.now += 0.1
    await checked.check()
    await checked.feeds.wait_until_read(checked.opened)
    assert (checked.incarnation, checked.opened.feed.last) == (1, Cursor(EPOCH, 1))


@pytest.mark.rule("R8")
async def test_a_tail_that_is_written_again_in_time_resets_nobody(checked: Checked) -> None:
    """And the next loss is waited for as long as the first."""
    checked.lose_tail()
    await checked.check()
    checked.logs.logs[ID] = events(3)
    checked.clock.now += HEAL_S + 1
    await checked.check()
    checked.lose_tail()
    await checked.check()
    assert checked.incarnation == 0


@pytest.mark.parametrize("meta", [_meta(1, status=Status.FAILED), _meta(0, epoch=EPOCH + 1)])
async def test_a_lost_tail_that_no_worker_will_write_is_not_waited_for(checked: Checked, meta: Meta) -> None:
    """The log is closed, or another attempt has begun."""
    checked.lose_tail()
    checked.logs.metas_of[ID] = meta
    await checked.check()
    assert checked.incarnation == 1


async def test_a_feed_that_is_being_read_is_not_compared(checked: Checked) -> None:
    """What it holds is half of the truth."""
    checked.lose_tail()
    checked.logs.metas_of[ID] = _meta(1, status=Status.FAILED)
    checked.feeds.request(checked.opened)
    reads = checked.logs.reads
    await checked.checks.compare()
    assert checked.logs.reads == reads


async def test_the_feed_that_is_furthest_behind_is_measured(checked: Checked) -> None:
    """In events of the attempt it is in."""
    checked.feeds.deliver([(checked.opened.key, payload([event(9)]))])
    await checked.checks.compare()
    assert b"outlive_reader_lag_events 7.0" in checked.metrics.exposition()


async def test_a_redis_that_is_away_for_long_sends_viewers_away(checked: Checked) -> None:
    """Not one that stumbled."""
    checked.feeds.unsubscribed(checked.opened.key)
    checked.checks.send_away(checked.clock.now + AWAY_S)
    assert checked.opened.feed.ending is None
    checked.checks.send_away(checked.clock.now + AWAY_S + 0.1)
    assert await checked.waiter.wait() is Ending.AWAY


async def test_a_redis_that_cannot_be_asked_changes_nothing(checked: Checked) -> None:
    """The comparison is left to the next time."""
    checked.logs.is_away = True
    await checked.check()
    assert (checked.incarnation, checked.opened.feed.ending) == (0, None)


@pytest.mark.rule("R76")
async def test_the_last_message_before_a_quiet_stretch_may_be_lost(checked: Checked) -> None:
    """No other message shows that. The second comparison after it finds it, whenever the log fell quiet."""
    checked.logs.logs[ID] = events(5)
    await checked.check()
    assert checked.opened.feed.end == 5


@pytest.mark.rule("R76")
async def test_only_quiet_feeds_are_compared(checked: Checked) -> None:
    """A feed to which messages come would show a hole."""
    await checked.check()
    reads = checked.logs.reads
    checked.feeds.deliver([(checked.opened.key, payload([event(3)]))])
    await checked.check()
    assert checked.logs.reads == reads
    await checked.check()
    assert checked.logs.reads > reads


@pytest.mark.rule("R76")
async def test_a_log_whose_channel_does_not_speak_is_read_again_and_again(checked: Checked) -> None:
    """While there is no subscription, viewers are served all the same, only later."""
    checked.logs.logs[ID] = events(5)
    checked.checks.poll()
    while checked.feeds._catch_up._tasks:
        await asyncio.sleep(0)
    assert checked.opened.feed.end == 5
    checked.feeds.subscribed(checked.opened.key)
    while checked.feeds._catch_up._tasks:
        await asyncio.sleep(0)
    reads = checked.logs.reads
    checked.checks.poll()
    await asyncio.sleep(0)
    assert checked.logs.reads == reads
