"""Owns one log told on one wire: for the part of it a feed holds, and for who is further back.

Pure. What an event becomes depends on all events before it, so a rendition is given every event
once, from the first on, also those the feed no longer holds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from outlive.api.formats.format import Format, FrameNumber, Head, ResumePoint
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START, Cursor

_END: Final = b"\n\n"


class EncodedWindow:
    """The frames of a feed's window, kept in step with it."""

    def __init__(self, wire: Format, head: Head) -> None:
        self.wire = wire
        self.head = head
        self.restart()

    def restart(self) -> None:
        """The log will be told from its first event on."""
        self._translator = self.wire.translator(self.head)
        self._frames: list[bytes] = []
        self._told = array("L")
        """By event held: how many frames have been told up to its end."""
        self._told_before = self._told_now = 0
        # Kept and not asked for: every write of every viewer looks at it.
        self.is_over = self._translator.is_over

    @property
    def told(self) -> FrameNumber:
        """All that has been told so far."""
        return FrameNumber(self._told_now)

    def skip(self, event: Logged) -> None:
        """The next event, which the feed does not hold."""
        self._told_before += len(self._translator.tell(event))
        self._told_now = self._told_before
        self.is_over = self._translator.is_over

    def add(self, event: Logged) -> int:
        """The next event, which it does; the bytes of its frames."""
        frames = self._translator.tell(event)
        self._told_now += len(frames)
        self._told.append(self._told_now)
        self.is_over = self._translator.is_over
        frame = frames[0] if len(frames) == 1 else b"".join(frames)
        self._frames.append(frame)
        return len(frame)

    def size_of(self, index: int) -> int:
        return len(self._frames[index])

    def trim(self, count: int) -> None:
        """The feed holds this many of its oldest events no longer."""
        if count:
            self._told_before = self._told[count - 1]
        del self._frames[:count], self._told[:count]

    def joined(self, events: Sequence[Logged], begin: int, end: int) -> bytes:
        """One write for `events`, which are those of the window from `begin` to `end`."""
        return self.wire.joined(events, self._frames[begin:end])

    def is_below(self, place: FrameNumber) -> bool:
        return place.frames < self._told_before

    def after(self, place: FrameNumber) -> tuple[int, bytes] | None:
        """The index of the event to go on with, and what is left of the one before it; None when the
        place is not in the window."""
        if not self._told_before <= place.frames <= self.told.frames:
            return None
        if place.frames == self._told_before:
            return 0, b""
        index = bisect_left(self._told, place.frames)
        rest = self._told[index] - place.frames
        return index + 1, _last(self._frames[index], rest)


class Replay:
    """A log read again for one viewer that is below the window: what it has seen is passed over."""

    def __init__(self, wire: Format, head: Head, after: ResumePoint) -> None:
        self.cursor = after if wire.is_stateless and isinstance(after, Cursor) else START
        """The last event taken; the next page begins after it."""
        self._wire = wire
        self._translator = wire.translator(head)
        self._after = after
        self._told = 0

    @property
    def is_passing_over(self) -> bool:
        """Whether what comes next has been seen."""
        return self.cursor < self._after if isinstance(self._after, Cursor) else self._told < self._after.frames

    def take(self, events: Sequence[Logged], max_bytes: int) -> bytes:
        """The log's next events; what of them the viewer has not seen, as one write. Events beyond
        `max_bytes` are not taken, but one at least; `cursor` says how far it came."""
        kept: list[Logged] = []
        frames: list[bytes] = []
        size = 0
        for event in events:
            told = self._translator.tell(event)
            self._told += len(told)
            self.cursor = event.cursor
            if unseen := self._unseen(event, told):
                kept.append(event)
                frames.append(b"".join(unseen))
                size += len(frames[-1])
            if size >= max_bytes:
                break
        return self._wire.joined(kept, frames)

    def _unseen(self, event: Logged, told: Sequence[bytes]) -> Sequence[bytes]:
        if isinstance(self._after, Cursor):
            return told if event.cursor > self._after else ()
        unseen = self._told - self._after.frames
        return told[max(0, len(told) - unseen) :] if unseen > 0 else ()


def _last(frames: bytes, count: int) -> bytes:
    """The last so many of these frames."""
    parts = frames.split(_END)[:-1]
    return b"".join(part + _END for part in parts[len(parts) - count :])
