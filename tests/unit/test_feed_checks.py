"""Open feeds compared with their logs: what is gone ends, what was lost is waited for and then read again."""

from collections.abc import AsyncIterator

import pytest

from outlive.api.fanout.end_waiter import EndWaiter
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed_checks import FeedChecks
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import LogUnavailable
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.generation import Meta, Status
from tests.support.fanout import EPOCH, ID, Clock, Logs, events, feeds_of

pytestmark = pytest.mark.anyio

HEAL_S = 4.0
AWAY_S = 5.0


def _meta(seq: int, *, status: Status = Status.RUNNING, epoch: int = EPOCH) -> Meta:
    return Meta("acme", status, "demo", Cursor(epoch, seq), 1, None, b"{}", 0.0, None, None)


class Checked:
    """A feed of three events that somebody watches, and the checks of it."""

    def __init__(self) -> None:
        self.logs = Logs(events(3))
        self.logs.metas_of[ID] = _meta(2)
        self.clock = Clock()
        self.away_since: float | None = None
        self.metrics = ApiMetrics()
        self.feeds, self.source = feeds_of(self.logs)
        self.opened = self.feeds.open(ID)
        self.waiter = EndWaiter(self.opened.feed)
        self.feeds.add_watcher(self.opened, self.waiter)
        self.checks = FeedChecks(
            self.logs, lambda _: self.away_since, self.metrics, self.feeds, heal_s=HEAL_S, clock=self.clock
        )

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
        await checked.checks.check()
    assert (checked.incarnation, checked.opened.feed.ending) == (0, None)


@pytest.mark.parametrize("meta", [None, "acme"])
async def test_a_log_that_is_gone_ends_its_feed(checked: Checked, meta: str | None) -> None:
    """Deleted, or past its retention: no event says so."""
    checked.logs.metas_of[ID] = meta
    await checked.checks.check()
    assert await checked.waiter.wait() is Ending.GONE
    assert len(checked.feeds) == 0


@pytest.mark.rule("R8")
async def test_a_lost_tail_is_waited_for_and_then_the_log_is_read_again(checked: Checked) -> None:
    """Its worker may be about to write it again."""
    checked.lose_tail()
    await checked.checks.check()
    checked.clock.now += HEAL_S
    await checked.checks.check()
    assert checked.incarnation == 0
    checked.clock.now += 0.1
    await checked.checks.check()
    await checked.feeds.wait_until_read(checked.opened)
    assert (checked.incarnation, checked.opened.feed.last) == (1, Cursor(EPOCH, 1))


@pytest.mark.rule("R8")
async def test_a_tail_that_is_written_again_in_time_resets_nobody(checked: Checked) -> None:
    """And the next loss is waited for as long as the first."""
    checked.lose_tail()
    await checked.checks.check()
    checked.logs.logs[ID] = events(3)
    checked.clock.now += HEAL_S + 1
    await checked.checks.check()
    checked.lose_tail()
    await checked.checks.check()
    assert checked.incarnation == 0


@pytest.mark.parametrize("meta", [_meta(1, status=Status.FAILED), _meta(0, epoch=EPOCH + 1)])
async def test_a_lost_tail_that_no_worker_will_write_is_not_waited_for(checked: Checked, meta: Meta) -> None:
    """The log is closed, or another attempt has begun."""
    checked.lose_tail()
    checked.logs.metas_of[ID] = meta
    await checked.checks.check()
    assert checked.incarnation == 1


async def test_a_feed_that_is_being_read_is_not_compared(checked: Checked) -> None:
    """What it holds is half of the truth."""
    checked.lose_tail()
    checked.logs.metas_of[ID] = _meta(1, status=Status.FAILED)
    checked.feeds.reread(checked.opened)
    await checked.checks.check()
    assert checked.incarnation == 1


async def test_the_feed_that_is_furthest_behind_is_measured(checked: Checked) -> None:
    """In events of the attempt it is in."""
    checked.logs.metas_of[ID] = _meta(9)
    await checked.checks.check()
    assert b"outlive_reader_lag_events 7.0" in checked.metrics.exposition()


async def test_a_redis_that_is_away_for_long_sends_viewers_away(checked: Checked) -> None:
    """Not one that stumbled."""
    checked.away_since = checked.clock.now
    checked.checks.send_away(checked.clock.now + AWAY_S)
    assert checked.opened.feed.ending is None
    checked.checks.send_away(checked.clock.now + AWAY_S + 0.1)
    assert await checked.waiter.wait() is Ending.AWAY


async def test_a_redis_that_cannot_be_asked_changes_nothing(checked: Checked) -> None:
    """The comparison is left to the next time."""
    checked.logs.is_away = True
    with pytest.raises(LogUnavailable):
        await checked.checks.check()
    assert (checked.incarnation, checked.opened.feed.ending) == (0, None)
