"""The registry of feeds: read once for all, then fed by the source; reread, ended, dropped and closed."""

import asyncio
from collections.abc import Sequence

import pytest

from outlive.api.fanout.end_waiter import EndWaiter
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.idle_feeds import close_idle
from outlive.api.fanout.open_feed import OpenFeed
from outlive.shared.errors import GenerationGone, LogUnavailable, OutliveError
from outlive.shared.log.reader import Logged, Question
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Cancelled, Completed, Usage
from outlive.shared.model.generation import Meta, Status
from tests.support.fanout import EPOCH, ID, Logs, event, events, feeds_of, payload

pytestmark = pytest.mark.anyio

USAGE = Usage(1, 2, 3)
KEY = f"log of {ID}"
LINGER_S = 10.0


def _push(feeds: Feeds, *log: Logged, before: Cursor | None = None, key: str = KEY) -> int:
    """A script has written these."""
    return feeds.deliver([(key, payload(log, before))])


async def _settle(feeds: Feeds) -> None:
    """Until nothing is read any more."""
    while feeds._catch_up._tasks:
        await asyncio.sleep(0)


async def _read(feeds: Feeds) -> OpenFeed:
    opened = feeds.open(ID)
    await feeds.wait_until_read(opened)
    return opened


async def test_a_log_is_watched_and_read_once_for_all_that_come() -> None:
    """A reconnect storm costs Redis one reading."""
    logs = Logs(events(3))
    feeds, source = feeds_of(logs)
    first, second = await asyncio.gather(_read(feeds), _read(feeds))
    assert first is second
    assert (logs.reads, first.feed.end, source.watched) == (1, 3, {KEY})


async def test_new_events_go_into_the_feed_of_their_log() -> None:
    """Counted by viewers; keys that nobody opened are passed over."""
    feeds, _ = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    feeds.add_watcher(opened, EndWaiter(opened.feed))
    assert feeds.deliver([(KEY, payload([event(3)])), ("another", payload([event(3)]))]) == 1
    assert opened.feed.end == 4


async def test_a_log_with_its_terminal_is_watched_no_more() -> None:
    """Whether it was read or delivered."""
    feeds, source = feeds_of(Logs(events(3)))
    opened = await _read(feeds)
    _push(feeds, event(3, Completed("stop", USAGE, 9, 4)))
    assert (opened.feed.ending, source.watched) == (Ending.TERMINAL, set())
    ended, source = feeds_of(Logs([event(0), event(1, Completed("stop", USAGE, 3, 2))]))
    assert ((await _read(ended)).feed.ending, source.watched) == (Ending.TERMINAL, set())


async def test_a_log_that_lost_its_tail_is_read_again() -> None:
    """A terminal says so; viewers see another incarnation."""
    logs = Logs(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    cut = event(0, Cancelled("requested", USAGE, 3, 2, cut=f"{EPOCH}-1"), EPOCH + 9)
    logs.logs[ID] = [*events(2), cut]
    logs.metas_of[ID] = Meta("acme", Status.CANCELLED, "demo", cut.cursor, 1, None, b"{}", 0.0, None, None)
    _push(feeds, cut, before=Cursor(EPOCH, 1))
    await _settle(feeds)
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
    assert (len(feeds), source.watched) == (0, set())


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
    feeds.listen("probe", _Listener(watcher.seen))
    assert "probe" in source.watched
    assert feeds.deliver([("probe", b"1"), (KEY, payload([event(3)]))]) == 1
    await asyncio.sleep(0)
    assert watcher.seen == ["viewer", "listener"]
    feeds.forget("probe")
    assert feeds.deliver([("probe", b"2")]) == 0
    assert "probe" not in source.watched


@pytest.mark.rule("R74")
async def test_a_feed_whose_channel_will_speak_is_read_when_it_does() -> None:
    """First the channel, then the log: nothing is written between the two."""
    logs = Logs(events(3))
    feeds, source = feeds_of(logs)
    source.is_up = True
    opened = feeds.open(ID)
    await asyncio.sleep(0)
    assert logs.reads == 0
    feeds.subscribed(KEY)
    await feeds.wait_until_read(opened)
    assert (logs.reads, opened.feed.end) == (1, 3)


@pytest.mark.rule("R74")
async def test_a_hole_between_messages_is_read_from_the_log() -> None:
    """Whatever was lost, once; then messages continue."""
    logs = Logs(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    logs.logs[ID] = events(7)
    assert [_push(feeds, event(4)), _push(feeds, event(6))] == [0, 0]
    await _settle(feeds)
    assert (logs.reads, opened.feed.end, opened.unread_since) == (2, 7, None)
    _push(feeds, event(7))
    assert (logs.reads, opened.feed.end) == (2, 8)


@pytest.mark.rule("R74")
async def test_a_channel_that_speaks_again_has_its_log_read() -> None:
    """What was written meanwhile was not pushed to us."""
    logs = Logs(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    feeds.subscribed(KEY)
    await _settle(feeds)
    feeds.unsubscribed(KEY)
    logs.logs[ID] = events(5)
    assert (opened.is_subscribed, opened.unread_since is None) == (False, False)
    feeds.subscribed(KEY)
    await _settle(feeds)
    assert (opened.feed.end, opened.is_subscribed, opened.unread_since) == (5, True, None)


class _Slow(Logs):
    """Each reply waits until the test lets it go; it is of the moment when it was asked for."""

    def __init__(self, log: list[Logged]) -> None:
        super().__init__(log)
        self.go = asyncio.Event()
        self.go.set()
        self.asked_after: list[Cursor] = []

    async def pages_from(self, questions: Sequence[Question]) -> list[list[Logged] | OutliveError | None]:
        self.asked_after += [question.after for question in questions]
        pages = await super().pages_from(questions)
        await self.go.wait()
        return pages


@pytest.mark.rule("R75")
async def test_one_reading_of_a_feed_at_a_time() -> None:
    """What is wanted meanwhile is read afterwards, once, from where the first one ended."""
    logs = _Slow(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    logs.logs[ID] = events(5)
    logs.go.clear()
    for _ in range(3):
        feeds.request(opened)
        await asyncio.sleep(0)
    logs.logs[ID] = events(6)
    logs.go.set()
    await _settle(feeds)
    assert logs.asked_after == [START, Cursor(EPOCH, 2), Cursor(EPOCH, 4)]
    assert opened.feed.end == 6


@pytest.mark.rule("R75")
async def test_a_reply_to_a_feed_that_was_read_again_meanwhile_is_dropped() -> None:
    """It answers another question: what it brings would leave a hole before it."""
    logs = _Slow(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    logs.logs[ID] = events(5)
    logs.go.clear()
    feeds.request(opened)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    feeds.reread(opened)
    assert opened.feed.end == 0
    logs.go.set()
    await _settle(feeds)
    assert (opened.feed.incarnation, opened.feed.end, logs.asked_after[-1]) == (1, 5, START)


@pytest.mark.rule("R75")
async def test_a_reply_to_a_feed_that_was_dropped_meanwhile_is_dropped() -> None:
    """Its generation may have another feed by now, which is read for itself."""
    logs = _Slow(events(3))
    feeds, _ = feeds_of(logs)
    former = await _read(feeds)
    logs.logs[ID] = events(5)
    logs.go.clear()
    feeds.request(former)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    feeds.drop(former)
    opened = feeds.open(ID)
    logs.go.set()
    await feeds.wait_until_read(opened)
    assert (former.feed.end, opened.feed.end) == (3, 5)


@pytest.mark.rule("R75")
async def test_a_reply_to_a_feed_that_messages_moved_on_meanwhile_is_dropped() -> None:
    """And asked for again, from where the feed is now."""
    logs = _Slow(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    logs.go.clear()
    feeds.request(opened)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    logs.logs[ID] = events(4)
    _push(feeds, event(3))
    logs.go.set()
    await _settle(feeds)
    assert (opened.feed.end, logs.asked_after[1:]) == (4, [Cursor(EPOCH, 2), Cursor(EPOCH, 3)])


@pytest.mark.rule("R75")
async def test_a_new_attempt_does_not_hide_a_lost_tail() -> None:
    """The log goes on behind an event that is older than the last one shown: viewers see another incarnation."""
    logs = Logs(events(5))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    attempt = event(0, epoch=EPOCH + 9)
    logs.logs[ID] = [*events(3), attempt]
    logs.metas_of[ID] = Meta("acme", Status.RUNNING, "demo", attempt.cursor, 2, None, b"{}", 0.0, None, None)
    _push(feeds, attempt, before=Cursor(EPOCH, 2))
    await _settle(feeds)
    assert (opened.feed.incarnation, opened.feed.end, opened.feed.last) == (1, 4, attempt.cursor)


async def test_a_log_with_a_hole_ends_its_feed_and_no_other() -> None:
    """No reading would mend it, so none is tried."""
    logs = Logs([event(0), event(2)])
    logs.logs["another"] = events(3)
    feeds, _ = feeds_of(logs)
    opened, other = feeds.open(ID), feeds.open("another")
    with pytest.raises(LogUnavailable):
        await feeds.wait_until_read(opened)
    await feeds.wait_until_read(other)
    assert (logs.reads, len(feeds)) == (1, 1)


async def test_a_storm_of_feeds_is_read_in_bounded_pipelines() -> None:
    """A failover makes all of them be read at once."""
    logs = Logs()
    logs.logs = {str(n): events(3) for n in range(200)}
    feeds, _ = feeds_of(logs)
    opened = [feeds.open(str(n)) for n in range(200)]
    await asyncio.gather(*map(feeds.wait_until_read, opened))
    assert (logs.reads, {each.feed.end for each in opened}) == (4, {3})


async def test_a_feed_that_lacks_what_a_viewer_has_seen_is_read_or_opened_anew() -> None:
    """The last message may be lost; and a failover may lose a terminal, after which the log goes on."""
    logs = Logs(events(3))
    feeds, _ = feeds_of(logs)
    opened = await _read(feeds)
    logs.logs[ID] = events(5)
    feeds.doubt(opened)
    await _settle(feeds)
    assert opened.feed.end == 5
    _push(feeds, event(5, Completed("stop", USAGE, 9, 4)))
    feeds.doubt(opened)
    logs.logs[ID] = events(7)
    assert (await _read(feeds)).feed.end == 7
