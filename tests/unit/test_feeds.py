"""The registry of feeds: read once for all, then fed by the source; reread, ended, dropped and closed."""

import asyncio

import pytest

from outlive.api.fanout.end_waiter import EndWaiter
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feeds import Feeds, OpenFeed
from outlive.api.fanout.idle_feeds import close_idle
from outlive.shared.errors import GenerationGone, LogUnavailable
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Cancelled, Completed, Usage
from tests.support.fanout import EPOCH, ID, Logs, event, events, feeds_of

pytestmark = pytest.mark.anyio

USAGE = Usage(1, 2, 3)
KEY = f"log of {ID}"
LINGER_S = 10.0


async def _read(feeds: Feeds) -> OpenFeed:
    opened = feeds.open(ID)
    await feeds.wait_until_read(opened)
    return opened


async def test_a_log_is_read_once_for_all_that_come_and_then_watched_from_its_last_event() -> None:
    """A reconnect storm costs Redis one reading."""
    logs = Logs(events(3))
    feeds, source = feeds_of(logs)
    first, second = await asyncio.gather(_read(feeds), _read(feeds))
    assert first is second
    assert (logs.reads, first.feed.end, source.watched) == (1, 3, {KEY: Cursor(EPOCH, 2)})


async def test_new_events_go_into_the_feed_of_their_log() -> None:
    """Counted by viewers; keys that nobody opened are passed over."""
    feeds, _ = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    feeds.add_watcher(opened, EndWaiter(opened.feed))
    assert feeds.deliver({KEY: [event(3)], "another": [event(3)]}) == 1
    assert opened.feed.end == 4


async def test_a_log_with_its_terminal_is_watched_no_more() -> None:
    """Whether it was read or delivered."""
    feeds, source = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    feeds.deliver({KEY: [event(3, Completed("stop", USAGE, 9, 4))]})
    assert (opened.feed.ending, source.watched) == (Ending.TERMINAL, {})
    ended, source = feeds_of(Logs([event(0), event(1, Completed("stop", USAGE, 3, 2))]))
    assert ((await _read(ended)).feed.ending, source.watched) == (Ending.TERMINAL, {})


async def test_a_log_that_lost_its_tail_is_read_again() -> None:
    """A terminal says so; viewers see another incarnation."""
    logs = Logs(events(3))
    feeds, source = feeds_of(logs)
    opened = await _read(feeds)
    cut = event(0, Cancelled("requested", USAGE, 3, 2, cut=f"{EPOCH}-1"), EPOCH + 9)
    logs.logs[ID] = [*events(2), cut]
    feeds.deliver({KEY: [cut]})
    assert source.watched == {}
    await feeds.wait_until_read(opened)
    assert (opened.feed.incarnation, opened.feed.end, opened.feed.ending) == (1, 3, Ending.TERMINAL)


async def test_a_log_that_is_gone_cannot_be_opened() -> None:
    """Waiting for its reading raises, and the feed is no longer open."""
    feeds, _ = feeds_of(Logs())
    with pytest.raises(GenerationGone):
        await _read(feeds)
    assert len(feeds) == 0


async def test_a_log_that_cannot_be_read_ends_its_feed() -> None:
    """The next viewer tries again."""
    logs = Logs(events(3))
    logs.is_away = True
    feeds, _ = feeds_of(logs)
    opened = feeds.open(ID)
    waiter = EndWaiter(opened.feed)
    feeds.add_watcher(opened, waiter)
    with pytest.raises(LogUnavailable):
        await feeds.wait_until_read(opened)
    assert (await waiter.wait(), len(feeds)) == (Ending.AWAY, 0)
    logs.is_away = False
    assert (await _read(feeds)).feed.end == 3


async def test_watchers_of_an_ended_feed_are_kept_until_they_leave() -> None:
    """They may still be behind; the next viewer gets a new feed."""
    feeds, _ = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    waiter = EndWaiter(opened.feed)
    feeds.add_watcher(opened, waiter)
    feeds.end(opened, Ending.GONE)
    assert (feeds.watchers_of(ID), list(feeds.watchers)) == (0, [waiter])
    assert feeds.open(ID) is not opened
    assert feeds.remove_watcher(waiter, 0.0)
    assert not feeds.remove_watcher(waiter, 0.0)


async def test_a_feed_that_nobody_watches_lingers_and_is_then_dropped() -> None:
    """A watcher that comes meanwhile keeps it."""
    feeds, source = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    waiter = EndWaiter(opened.feed)
    feeds.add_watcher(opened, waiter)
    close_idle(feeds, 1e9, LINGER_S)
    feeds.remove_watcher(waiter, 100.0)
    close_idle(feeds, 100.0 + LINGER_S, LINGER_S)
    assert feeds.open(ID) is opened
    close_idle(feeds, 100.1 + LINGER_S, LINGER_S)
    assert (len(feeds), source.watched) == (0, {})


class _Listener:
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def advance(self) -> None:
        self.seen.append("listener")


class _Watcher(EndWaiter):
    seen: list[str]

    def advance(self) -> None:
        self.seen.append("viewer")


async def test_a_listener_comes_behind_the_viewers_of_logs_delivered_with_its_own() -> None:
    """So it measures what the last of them waits for."""
    feeds, source = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    watcher = _Watcher(opened.feed)
    watcher.seen = []
    feeds.add_watcher(opened, watcher)
    feeds.listen("probe", START, _Listener(watcher.seen))
    assert source.watched["probe"] == START
    assert feeds.deliver({"probe": [event(0)], KEY: [event(3)]}) == 1
    await asyncio.sleep(0)
    assert watcher.seen == ["viewer", "listener"]
    feeds.forget("probe")
    assert feeds.deliver({"probe": [event(1)]}) == 0
    assert "probe" not in source.watched
