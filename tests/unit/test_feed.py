"""A feed: one window on a log, any number of positions in it."""

import pytest

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Taken
from outlive.api.formats import native_sse
from outlive.api.formats.native import UNFOLDED
from outlive.shared.log.messages import Message, parse
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Cancelled, Completed, Token, Usage
from tests.support.fanout import EPOCH, event, events, feed_of, payload

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


def _message(log: list[Logged], before: Cursor | None = None) -> Message:
    return parse(payload(log, before))


@pytest.mark.rule("R74")
def test_an_event_that_arrives_twice_is_taken_once() -> None:
    """What was read and a message may overlap."""
    feed = feed_of(events(5))
    assert feed.take(_message([event(3), event(4), event(5)])) is Taken.NEW
    assert feed.end == 6
    assert feed.last == Cursor(EPOCH, 5)


@pytest.mark.rule("R74")
def test_a_message_that_continues_what_is_held_is_taken() -> None:
    """The next event, also one of a new attempt, if the log's newest event before it is the one held."""
    feed = feed_of(events(3))
    assert feed.take(_message([event(3), event(4)])) is Taken.NEW
    assert feed.take(_message([event(0, epoch=EPOCH + 9)], before=Cursor(EPOCH, 4))) is Taken.NEW
    assert (feed.end, feed.last) == (6, Cursor(EPOCH + 9, 0))


@pytest.mark.rule("R74")
@pytest.mark.parametrize(
    "message",
    [
        _message([event(4)]),
        _message([event(0, epoch=EPOCH + 9)], before=Cursor(EPOCH, 1)),
        _message([event(0, epoch=EPOCH + 9)], before=Cursor(EPOCH, 5)),
        _message([event(1, epoch=EPOCH + 9)]),
        _message([event(0, Cancelled("requested", USAGE, 3, 2, cut=f"{EPOCH}-1"), EPOCH + 9)], Cursor(EPOCH, 2)),
        parse(f"{EPOCH}-2\n{EPOCH}-300".encode()),
        parse(b"gone"),
        parse(b"what is this"),
    ],
    ids=["lost", "tail lost", "ahead", "attempt lost", "another cut", "too large", "deleted", "unknown"],
)
def test_a_message_that_does_not_continue_what_is_held_is_a_hole(message: Message) -> None:
    """Nothing of it is taken: only the log can tell what is between."""
    feed = feed_of(events(3))
    assert feed.take(message) is Taken.HOLE
    assert (feed.end, feed.ending) == (3, None)


@pytest.mark.rule("R74")
def test_an_old_message_changes_nothing() -> None:
    """Doubled, late, of an earlier attempt, or after the end."""
    feed = feed_of(events(3))
    late = [
        _message([event(1), event(2)]),
        _message([event(9, epoch=EPOCH - 1)]),
        parse(f"{EPOCH}-0\n{EPOCH}-2".encode()),
    ]
    assert [feed.take(message) for message in late] == [Taken.OLD] * 3
    feed.extend([event(3, Completed("stop", USAGE, 9, 4))])
    assert feed.take(_message([event(4)])) is Taken.OLD
    assert feed.end == 4


@pytest.mark.parametrize("wrong", [event(4), event(2), event(1, epoch=EPOCH + 1), event(0, epoch=EPOCH - 1)])
def test_only_what_continues_extends_a_feed(wrong: Logged) -> None:
    """The next of the attempt, or the first of a later one; what comes before a wrong one is taken."""
    feed = feed_of(events(2))
    assert not feed.extend([event(2), wrong, event(3)])
    assert feed.last == Cursor(EPOCH, 2)


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
