"""A feed: one window on a log, any number of positions in it."""

from outlive.api.fanout.ending import Ending
from outlive.api.formats import native_sse
from outlive.api.formats.native import UNFOLDED
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Cancelled, Completed, Token, Usage
from tests.support.fanout import EPOCH, event, events, feed_of

USAGE = Usage(1, 2, 3)


def test_every_position_gets_the_rest_of_the_log() -> None:
    """Catching up and following live are the same question."""
    feed = feed_of(events(5))
    for seq in range(4):
        position = feed.position_after(Cursor(EPOCH, seq), UNFOLDED)
        assert position == (seq + 1, b"")
        data = b"".join(native_sse.frame(event(s)) for s in range(seq + 1, 5))
        assert feed.chunk(position[0], UNFOLDED) == (data, 5, Cursor(EPOCH, 4))
    assert feed.position_after(START, UNFOLDED) == (0, b"")
    assert feed.position_after(Cursor(EPOCH, 4), UNFOLDED) == (feed.end, b"")


def test_a_cursor_that_is_not_in_the_window_has_no_position() -> None:
    """Of another epoch, of the future."""
    feed = feed_of(events(5))
    assert feed.position_after(Cursor(EPOCH, 5), UNFOLDED) is None
    assert feed.position_after(Cursor(EPOCH - 1, 0), UNFOLDED) is None
    assert not feed.windows[UNFOLDED].is_below(Cursor(EPOCH - 1, 0))


def test_an_event_that_arrives_twice_is_taken_once() -> None:
    """A page and the live end may overlap."""
    feed = feed_of(events(5))
    feed.extend([event(3), event(4), event(5)])
    assert feed.end == 6
    assert feed.last == Cursor(EPOCH, 5)


def test_the_window_is_bounded_and_positions_survive_its_trimming() -> None:
    """Old events leave it; a point below it is known to be there."""
    feed = feed_of(limit_bytes=4_000)
    for seq in range(1_000):
        feed.extend([event(seq)])
    held = feed.end - feed.first

    assert feed.end == 1_000
    assert 0 < held * len(native_sse.frame(event(0))) <= 4_000
    assert feed.before == Cursor(EPOCH, feed.first - 1)
    assert feed.position_after(START, UNFOLDED) is None
    assert feed.windows[UNFOLDED].is_below(Cursor(EPOCH, 5))
    assert feed.position_after(Cursor(EPOCH, 998), UNFOLDED) == (999, b"")


def test_one_write_stays_bounded() -> None:
    """A long catch-up comes in several chunks, without a hole."""
    long = [event(seq, Token("x" * 10_000)) for seq in range(100)]
    feed = feed_of(long, limit_bytes=100_000_000)
    position, whole = 0, b""
    while position < feed.end:
        data, position, _ = feed.chunk(position, UNFOLDED)
        assert len(data) < 80_000
        whole += data
    assert whole == b"".join(map(native_sse.frame, long))


def test_a_chunk_that_ended_at_the_live_end_grows_with_the_feed() -> None:
    """A chunk is kept for other viewers, but never withholds what came later."""
    feed = feed_of(events(1))
    assert feed.chunk(0, UNFOLDED).end == 1
    feed.extend(events(1, first=1))
    assert feed.chunk(0, UNFOLDED).end == 2


def test_a_terminal_ends_the_feed() -> None:
    """After it there is nothing to wait for; a later reason does not replace it."""
    feed = feed_of(events(3))
    assert feed.extend([event(3, Completed("stop", USAGE, 9, 4))])
    feed.close(Ending.AWAY)
    assert feed.ending is Ending.TERMINAL


def test_a_cut_at_the_last_event_is_an_ordinary_end() -> None:
    """No event that was shown is lost."""
    feed = feed_of(events(3))
    assert feed.extend([event(0, Cancelled("requested", USAGE, 9, 4, cut=f"{EPOCH}-2"), EPOCH + 9)])
    assert feed.ending is Ending.TERMINAL


def test_a_cut_below_the_last_event_shows_that_the_log_lost_a_tail() -> None:
    """Viewers hold folded frames they cannot take apart, so they have to be sent everything anew."""
    feed = feed_of(events(3))
    assert not feed.extend([event(0, Cancelled("requested", USAGE, 3, 2, cut=f"{EPOCH}-1"), EPOCH + 9)])
    assert feed.ending is None


def test_a_restarted_feed_is_another_incarnation() -> None:
    """Its viewers can see that, and begin again."""
    feed = feed_of(events(3))
    feed.restart()
    assert (feed.incarnation, feed.end, feed.last, feed.before) == (1, 0, START, START)
    assert feed.position_after(START, UNFOLDED) == (0, b"")


def test_lag_counts_events_of_the_same_attempt_only() -> None:
    """Epochs are times: their difference is no number of events."""
    feed = feed_of(events(3))
    assert feed.lag(Cursor(EPOCH, 9)) == 7
    assert feed.lag(Cursor(EPOCH + 1, 9)) == 0
