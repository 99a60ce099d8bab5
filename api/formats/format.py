"""Owns what a format is: one way to encode logs for viewers.

A format is a translator (log entries in, frames out), the few frames it needs where the log has no event, and the
order of its resume points. Pure and deterministic: the same log gives the same frames on every replica, so a viewer
may resume anywhere. Knows neither feeds nor HTTP. What is resumed by cursor or by number: `resume_points.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import Cursor


class Head(NamedTuple):
    """The request and the caller's metadata, as stored beside the log: they never change."""

    request: bytes
    metadata: bytes


class FrameNumber(NamedTuple):
    """A resume point of a format that numbers its frames: how many the viewer has seen, from the first on."""

    frames: int


ResumePoint = Cursor | FrameNumber
"""What a viewer has seen; it resumes with the frame after it. The points of one format have an order; points of two
formats cannot be compared."""


class Translator(Protocol):
    """Encodes one log. It knows only the events it was given."""

    @property
    def is_over(self) -> bool:
        """Whether no more frames will come, though the log may go on."""

    def translate(self, event: Logged) -> Sequence[bytes]:
        """The frames of the log's next event: zero, one or several."""


class Format(Protocol):
    """One instance each; compared by identity."""

    @property
    def is_stateless(self) -> bool:
        """Whether an event's frames depend on that event alone, so that encoding may begin anywhere."""

    @property
    def heartbeat(self) -> bytes:
        """Sent to a quiet viewer, so that it knows the connection is alive."""

    @property
    def start(self) -> ResumePoint:
        """The point before the first frame."""

    def point_after(self, point: ResumePoint, event: Logged, frames: int) -> ResumePoint:
        """Where a viewer at `point` is once it has seen the next event, which has so many frames."""

    def frames_left(self, point: ResumePoint, end: ResumePoint) -> int | None:
        """For a point inside an event that ends at `end`: how many of the event's frames are still unseen. None
        if there are no points inside an event, so that this one is not in the log."""

    def event_of(self, point: ResumePoint) -> Cursor | None:
        """The event that the point names as the last one seen. None if points are mere numbers."""

    def translator(self, head: Head) -> Translator:
        """A new one, to be given the log from its first event on."""

    def join(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        """One write for these consecutive events; `frames` are theirs, one element for each event."""

    def opening(self, retry_s: float) -> bytes:
        """The first bytes, so that proxies and clients see an open stream before there is an event."""

    def farewell(self, retry_s: float) -> bytes:
        """The last bytes of a response that ends before its log: the viewer should come back."""

    def reset(self, reason: str) -> bytes | None:
        """Makes a viewer forget everything, before all of it is sent again. None: this format cannot."""

    def lost(self, reason: str) -> bytes:
        """The last bytes for a viewer that cannot resume, in a format without `reset`."""
