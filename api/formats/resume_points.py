"""Owns the two ways in which formats are resumed: after an event's cursor, or after a number of frames.

Pure. Each class is the part of a format that `format.py` describes under the same names. A route gives a format
only points of its own kind, which is why the casts hold.
"""

from typing import cast

from outlive.api.formats.format import FrameNumber, ResumePoint
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START, Cursor


class ResumedByCursor:
    """A viewer names the last event it has seen whole."""

    is_stateless = False
    start: ResumePoint = START

    def point_after(self, point: ResumePoint, event: Logged, frames: int) -> ResumePoint:
        return event.cursor

    def frames_left(self, point: ResumePoint, end: ResumePoint) -> int | None:
        return None

    def event_of(self, point: ResumePoint) -> Cursor | None:
        return cast(Cursor, point)


class ResumedByNumber:
    """A viewer says how many frames it has seen. One event may have several, so it may be inside an event."""

    is_stateless = False
    start: ResumePoint = FrameNumber(0)

    def point_after(self, point: ResumePoint, event: Logged, frames: int) -> ResumePoint:
        return FrameNumber(cast(FrameNumber, point).frames + frames)

    def frames_left(self, point: ResumePoint, end: ResumePoint) -> int | None:
        return cast(FrameNumber, end).frames - cast(FrameNumber, point).frames

    def event_of(self, point: ResumePoint) -> Cursor | None:
        return None
