"""A log in one format: where each resume point is, also inside an event, and after the window moved on."""

import pytest

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.replay import Replay
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.api.formats.native import UNFOLDED
from outlive.api.wires.chat.chat_format import CHAT
from outlive.api.wires.responses.responses_format import RESPONSES
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Completed, Token
from tests.support.fanout import EPOCH as FIRST_EPOCH
from tests.support.fanout import HEAD, events
from tests.support.handwritten_logs import EPOCH, USAGE, log_of

LOG = log_of([Token("a"), Token("b"), Completed("stop", USAGE, 2, 4)])
FORMATS = (UNFOLDED, CHAT, RESPONSES)
LARGE = 1_000_000


def _window(format_: Format) -> EncodedWindow:
    window = EncodedWindow(format_, HEAD)
    for event in LOG:
        window.add(event)
    return window


def _frames(format_: Format) -> list[list[bytes]]:
    translator = format_.translator(HEAD)
    return [list(translator.translate(event)) for event in LOG]


def _points(format_: Format) -> list[ResumePoint]:
    """After each event."""
    points, point = [], format_.start
    for event, frames in zip(LOG, _frames(format_), strict=True):
        point = format_.point_after(point, event, len(frames))
        points.append(point)
    return points


def _after(window: EncodedWindow, point: ResumePoint) -> bytes:
    match = window.index_after(point)
    assert match is not None
    index, rest = match
    return rest + window.join(LOG[index:], index, len(LOG))


@pytest.mark.parametrize("format_", FORMATS)
def test_the_start_and_the_end_are_points_of_every_format(format_: Format) -> None:
    """Everything follows the one, nothing the other."""
    window = _window(format_)
    whole = b"".join(frame for frames in _frames(format_) for frame in frames)
    assert _after(window, format_.start) == whole
    assert _after(window, _points(format_)[-1]) == b""


def test_a_number_inside_an_event_is_followed_by_the_rest_of_that_event() -> None:
    """Every number of the Responses format, one frame less each time."""
    window = _window(RESPONSES)
    frames = [frame for event in _frames(RESPONSES) for frame in event]
    for number in range(len(frames) + 1):
        assert _after(window, FrameNumber(number)) == b"".join(frames[number:])
    assert window.index_after(FrameNumber(len(frames) + 1)) is None
    assert window.is_ahead(FrameNumber(len(frames) + 1))


def test_a_cursor_between_two_events_is_not_in_the_log() -> None:
    """It is neither below the window nor ahead of it."""
    window, point = _window(UNFOLDED), Cursor(EPOCH, 5)
    assert window.index_after(point) is None
    assert not window.is_below(point)
    assert not window.is_ahead(point)


@pytest.mark.parametrize("format_", FORMATS)
def test_points_before_the_window_are_below_it(format_: Format) -> None:
    """The last event that was dropped is a point of the window, those before it are not."""
    window, points = _window(format_), _points(format_)
    window.trim(2)
    assert window.is_below(format_.start)
    assert window.is_below(points[0])
    assert window.index_after(points[0]) is None
    assert window.index_after(points[1]) == (0, b"")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_window_opened_late_has_the_same_frames(format_: Format) -> None:
    """Events that the feed has dropped are translated and not kept."""
    early, late = _window(format_), EncodedWindow(format_, HEAD)
    early.trim(2)
    for event in LOG[:2]:
        late.skip(event)
    for event in LOG[2:]:
        late.add(event)
    assert late.join(LOG[2:], 0, 3) == early.join(LOG[2:], 0, 3)
    assert late.index_after(_points(format_)[1]) == (0, b"")


def test_a_stateless_window_may_begin_in_the_middle() -> None:
    """Points before that are below it."""
    window = EncodedWindow(UNFOLDED, HEAD, before=Cursor(FIRST_EPOCH, 4))
    for event in events(2, first=5):
        window.add(event)
    assert window.is_below(START)
    assert window.index_after(Cursor(FIRST_EPOCH, 4)) == (0, b"")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_replay_continues_after_every_point(format_: Format) -> None:
    """Page by page, with the same bytes as a window that holds everything; and ends at the log's end."""
    window = _window(format_)
    for after in (format_.start, *_points(format_)):
        replay, data = Replay(format_, HEAD, after), b""
        while page := [event for event in LOG if event.cursor > replay.cursor][:2]:
            data += replay.take(page, LARGE)
        assert data == _after(window, after)
        assert replay.point == _points(format_)[-1]
        assert not replay.is_skipping


def test_a_replay_continues_inside_an_event() -> None:
    """Every number of the Responses format."""
    window = _window(RESPONSES)
    for number in range(sum(map(len, _frames(RESPONSES)))):
        assert Replay(RESPONSES, HEAD, FrameNumber(number)).take(LOG, LARGE) == _after(window, FrameNumber(number))


def test_a_replay_takes_no_more_than_it_may_write() -> None:
    """But one event at least; the next page begins after the last one taken."""
    replay = Replay(UNFOLDED, HEAD, START)
    assert replay.take(LOG, 1) == b"".join(_frames(UNFOLDED)[0])
    assert replay.cursor == LOG[0].cursor
