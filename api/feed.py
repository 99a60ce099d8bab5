"""Owns one process's shared copy of one log: recent frames, encoded once for all viewers.

No I/O. A viewer is a position in here, not a queue: catching up and following live are the same
question, and a slow viewer costs one integer. The window is bounded by bytes; what fell out of it
is read again from the log in pages.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from api import frames
from shared.cursor import START, Cursor
from shared.logreader import Logged

if TYPE_CHECKING:
    from api.viewer import Viewer

_CHUNK_BYTES: Final = 262_144
"""Per write, so that one viewer's catch-up does not hold a whole log in its socket's buffer."""


class Ending(StrEnum):
    """Why a feed, and with it every viewer's response, ends."""

    TERMINAL = "terminal"
    GONE = "gone"
    AWAY = "away"
    """Redis cannot be read here; the viewers resume, perhaps elsewhere."""


class Feed:
    """Positions count events since the feed was filled; `first` is that of the oldest one held."""

    def __init__(self, generation_id: str, limit_bytes: int) -> None:
        self.generation_id = generation_id
        self.viewers: set[Viewer] = set()
        self.ending: Ending | None = None
        self.incarnation = 0
        """Rises when the log turned out to be another one than was shown; viewers are then reset."""
        self.first = 0
        self.idle_since: float | None = None
        self.lost_since: float | None = None
        self._limit_bytes = limit_bytes
        self._events: list[Logged] = []
        self._frames: list[bytes] = []
        self._bytes = 0
        self._chunk: tuple[int, int, bool, bytes, int] | None = None

    @property
    def last(self) -> Cursor:
        """The newest event held; `START` before the first."""
        return self._events[-1].cursor if self._events else START

    @property
    def end(self) -> int:
        """The position after the newest event."""
        return self.first + len(self._events)

    def extend(self, events: Sequence[Logged]) -> bool:
        """Take in newer events. False when they show that the log lost something already shown: a
        terminal whose `cut` is not our last event; it was not taken in, and the feed has to restart."""
        for event in events:
            if event.cursor <= self.last:
                continue
            if frames.is_terminal(event):
                cut = frames.cut_of(event)
                if cut is not None and cut != str(self.last):
                    return False
                self.ending = Ending.TERMINAL
            encoded = frames.frame(event)
            self._events.append(event)
            self._frames.append(encoded)
            self._bytes += len(encoded)
        if self._bytes > self._limit_bytes:
            self._trim()
        return True

    def restart(self) -> None:
        """Forget the window: it is told again from the log's first event."""
        self._events.clear()
        self._frames.clear()
        self._chunk = None
        self._bytes = self.first = 0
        self.incarnation += 1
        self.ending = self.lost_since = None

    def position_after(self, cursor: Cursor) -> int | None:
        """Where a viewer that has seen `cursor` goes on; None when it is not in the window."""
        if cursor == START:
            return 0 if self.first == 0 else None
        index = bisect_left(self._events, cursor, key=lambda event: event.cursor)
        if index < len(self._events) and self._events[index].cursor == cursor:
            return self.first + index + 1
        return None

    def is_below_window(self, cursor: Cursor) -> bool:
        """Whether the cursor, if it is in the log at all, must be looked for there."""
        return self.first > 0 and cursor < self._events[0].cursor

    def chunk(self, position: int, *, fold: bool) -> tuple[bytes, int]:
        """The frames from `position` on, as one write, and the position after them."""
        end = self.end
        if position + 1 == end:
            return self._frames[-1], end
        made = self._chunk
        if made is None or made[:3] != (position, end, fold):
            # Nearly all viewers ask from the same place, so one chunk remembered serves them all.
            made = self._chunk = (position, end, fold, *self._make(position, fold=fold))
        return made[3], made[4]

    def cursor_before(self, position: int) -> Cursor:
        """The last event a viewer at `position` has been given."""
        return self._events[position - self.first - 1].cursor if position > self.first else START

    def _make(self, position: int, *, fold: bool) -> tuple[bytes, int]:
        start = index = position - self.first
        size = 0
        while index < len(self._frames) and size < _CHUNK_BYTES:
            size += len(self._frames[index])
            index += 1
        data = frames.folded(self._events[start:index]) if fold else b"".join(self._frames[start:index])
        return data, self.first + index

    def _trim(self) -> None:
        """Drop the older half by bytes: a little every time would cost a copy every time."""
        index = 0
        while self._bytes > self._limit_bytes // 2 and index < len(self._frames) - 1:
            self._bytes -= len(self._frames[index])
            index += 1
        del self._frames[:index], self._events[:index]
        self.first += index
