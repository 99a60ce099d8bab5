"""A feed: one window on a log, any number of positions in it."""

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Ending, Feed
from outlive.api.formats import native_sse
from outlive.api.formats.format import Head
from outlive.api.formats.native import UNFOLDED
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Cancelled, Completed, Event, Token, Usage

EPOCH = 1_795_330_013_450
USAGE = Usage(1, 2, 3)


def _event(seq: int, event: Event | None = None, epoch: int = EPOCH) -> Logged:
    said = event or Token(f"{seq:03}")
    return Logged(Cursor(epoch, seq), said.type.encode(), encode(said))


def _feed(count: int, limit_bytes: int = 1_000_000) -> Feed:
    feed = Feed("gen_x", limit_bytes)
    feed.render(EncodedWindow(UNFOLDED, Head(b"{}", b"{}")))
    assert feed.extend([_event(seq) for seq in range(count)])
    return feed


def test_every_position_gets_the_rest_of_the_log() -> None:
    """Catching up and following live are the same question."""
    feed = _feed(5)
    for seq in range(4):
        position = feed.position_after(Cursor(EPOCH, seq), UNFOLDED)
        assert position == (seq + 1, b"")
        data = b"".join(native_sse.frame(_event(s)) for s in range(seq + 1, 5))
        assert feed.chunk(position[0], UNFOLDED) == (data, 5, Cursor(EPOCH, 4))
    assert feed.position_after(START, UNFOLDED) == (0, b"")
    assert feed.position_after(Cursor(EPOCH, 4), UNFOLDED) == (feed.end, b"")


def test_a_cursor_that_is_not_in_the_window_has_no_position() -> None:
    """Of another epoch, of the future."""
    feed = _feed(5)
    assert feed.position_after(Cursor(EPOCH, 5), UNFOLDED) is None
    assert feed.position_after(Cursor(EPOCH - 1, 0), UNFOLDED) is None
    assert not feed.is_below_window(Cursor(EPOCH - 1, 0), UNFOLDED)


def test_what_comes_twice_is_taken_once() -> None:
    """A page and the tail may overlap."""
    feed = _feed(5)
    feed.extend([_event(3), _event(4), _event(5)])
    assert feed.end == 6
    assert feed.last == Cursor(EPOCH, 5)


def test_the_window_is_bounded_and_positions_survive_its_trimming() -> None:
    """Old events leave it, and whoever stands below is told so."""
    feed = _feed(0, limit_bytes=4_000)
    for seq in range(1_000):
        feed.extend([_event(seq)])
    held = feed.end - feed.first

    assert feed.end == 1_000
    assert 0 < held * len(native_sse.frame(_event(0))) <= 4_000
    assert feed.position_after(START, UNFOLDED) is None
    assert feed.is_below_window(Cursor(EPOCH, 5), UNFOLDED)
    assert feed.position_after(Cursor(EPOCH, 998), UNFOLDED) == (999, b"")


def test_one_write_stays_bounded() -> None:
    """A long catch-up comes in several chunks, without a hole."""
    feed = _feed(0, 100_000_000)
    feed.extend([_event(seq, Token("x" * 10_000)) for seq in range(100)])
    position, whole = 0, b""
    while position < feed.end:
        data, position, _ = feed.chunk(position, UNFOLDED)
        assert len(data) < 80_000
        whole += data
    assert whole == b"".join(native_sse.frame(_event(seq, Token("x" * 10_000))) for seq in range(100))


def test_a_terminal_ends_the_feed() -> None:
    """After it there is nothing to wait for."""
    feed = _feed(3)
    assert feed.extend([_event(3, Completed("stop", USAGE, 9, 4))])
    assert feed.ending is Ending.TERMINAL


def test_a_cut_at_the_last_event_is_an_ordinary_end() -> None:
    """Nothing that was shown is lost."""
    feed = _feed(3)
    assert feed.extend([_event(0, Cancelled("requested", USAGE, 9, 4, cut=f"{EPOCH}-2"), EPOCH + 9)])
    assert feed.ending is Ending.TERMINAL


def test_a_cut_below_the_last_event_shows_that_the_log_lost_a_tail() -> None:
    """Viewers hold folded frames they cannot take apart, so they have to be told anew."""
    feed = _feed(3)
    assert not feed.extend([_event(0, Cancelled("requested", USAGE, 3, 2, cut=f"{EPOCH}-1"), EPOCH + 9)])
    assert feed.ending is None


def test_a_restarted_feed_is_another_incarnation() -> None:
    """Its viewers can tell, and begin again."""
    feed = _feed(3)
    feed.restart()
    assert (feed.incarnation, feed.end, feed.last) == (1, 0, START)
