"""Owns one log read again for one viewer that is below its feed's window (`encoded_window.py`).

Pure: pages of the log in, one write out. A format that is not stateless is encoded from the first event again, and
the frames that the viewer has seen are skipped.
"""

from collections.abc import Sequence

from outlive.api.formats.format import Format, Head, ResumePoint
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START


class Replay:
    """`cursor` is the last event taken, after which the next page begins; `point` is the same in the format."""

    def __init__(self, format_: Format, head: Head, after: ResumePoint) -> None:
        self.cursor = (format_.event_of(after) if format_.is_stateless else None) or START
        self.point: ResumePoint = after if format_.is_stateless else format_.start
        self._format = format_
        self._translator = format_.translator(head)
        self._after = after

    @property
    def is_skipping(self) -> bool:
        """Whether the viewer has seen what comes next."""
        return self.point < self._after

    def take(self, events: Sequence[Logged], max_bytes: int) -> bytes:
        """The log's next events; returns the frames that the viewer has not seen, as one write. Takes at least one
        event, and stops when the frames reach `max_bytes`."""
        kept: list[Logged] = []
        kept_frames: list[bytes] = []
        size = 0
        for event in events:
            frames = self._translator.translate(event)
            before, self.point = self.point, self._format.point_after(self.point, event, len(frames))
            self.cursor = event.cursor
            if unseen := self._unseen(before, frames):
                kept.append(event)
                kept_frames.append(b"".join(unseen))
                size += len(kept_frames[-1])
            if size >= max_bytes:
                break
        return self._format.join(kept, kept_frames)

    def _unseen(self, before: ResumePoint, frames: Sequence[bytes]) -> Sequence[bytes]:
        if before >= self._after:
            return frames
        if self.point <= self._after:
            return ()
        left = self._format.frames_left(self._after, self.point)
        return frames if left is None else frames[len(frames) - left :]
