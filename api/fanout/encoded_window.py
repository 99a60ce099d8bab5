"""Owns one log encoded in one format, for the part of the log that a feed holds.

Pure. An event's frames may depend on all events before it, so a window is given every event once, from the first on,
also those that the feed no longer holds. Viewers below the window are served by a `Replay` (`replay.py`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from outlive.api.formats.format import Format, Head, ResumePoint
from outlive.shared.log.reader import Logged

_END: Final = b"\n\n"


class EncodedWindow:
    """The frames of a feed's window, kept in step with it. An index counts the events the feed holds."""

    def __init__(self, format_: Format, head: Head, before: ResumePoint | None = None) -> None:
        """A stateless format may begin `before` the first event the feed holds; others begin at the start."""
        self.format = format_
        self.head = head
        self._begin(format_.start if before is None else before)

    def restart(self) -> None:
        """The log will be encoded again from its first event on."""
        self._begin(self.format.start)

    def _begin(self, before: ResumePoint) -> None:
        self._translator = self.format.translator(self.head)
        self._frames: list[bytes] = []
        self._points: list[ResumePoint] = []
        """By event held: the point after it."""
        self._before = self._last = before
        # A field and no property: every write of every viewer reads it.
        self.is_over = self._translator.is_over

    def skip(self, event: Logged) -> None:
        """The next event, if the feed does not hold it."""
        frames = self._translator.translate(event)
        self._before = self._last = self.format.point_after(self._last, event, len(frames))
        self.is_over = self._translator.is_over

    def add(self, event: Logged) -> int:
        """The next event, if the feed holds it. Returns the size of its frames in bytes."""
        frames = self._translator.translate(event)
        self._last = self.format.point_after(self._last, event, len(frames))
        self._points.append(self._last)
        self.is_over = self._translator.is_over
        frame = frames[0] if len(frames) == 1 else b"".join(frames)
        self._frames.append(frame)
        return len(frame)

    def size_of(self, index: int) -> int:
        return len(self._frames[index])

    def point_at(self, index: int) -> ResumePoint:
        """The point after the event at this index."""
        return self._points[index]

    def trim(self, count: int) -> None:
        """The feed has dropped so many of its oldest events."""
        if count:
            self._before = self._points[count - 1]
        del self._frames[:count], self._points[:count]

    def join(self, events: Sequence[Logged], begin: int, end: int) -> bytes:
        """One write for `events`, which are those of the window from index `begin` to `end`."""
        return self.format.join(events, self._frames[begin:end])

    def is_below(self, point: ResumePoint) -> bool:
        """Whether the point, if it is in the log at all, is before the window."""
        return point < self._before

    def is_ahead(self, point: ResumePoint) -> bool:
        """Whether the point is after every event encoded so far."""
        return point > self._last

    def index_after(self, point: ResumePoint) -> tuple[int, bytes] | None:
        """The index of the event to go on with, and the unseen frames of the event before it. None if the point is
        not in the window."""
        if point == self._before:
            return 0, b""
        if self.is_below(point) or self.is_ahead(point):
            return None
        index = bisect_left(self._points, point)
        if self._points[index] == point:
            return index + 1, b""
        frames_left = self.format.frames_left(point, self._points[index])
        return None if frames_left is None else (index + 1, _last(self._frames[index], frames_left))


def _last(frames: bytes, count: int) -> bytes:
    """The last `count` of these frames."""
    parts = frames.split(_END)[:-1]
    return b"".join(part + _END for part in parts[len(parts) - count :])
