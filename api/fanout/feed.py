"""Owns one process's shared copy of one log: recent events, told once on each wire for all viewers.

No I/O. A viewer is a position in here, not a queue: catching up and following live are the same
question, and a slow viewer costs one integer. The window is bounded by bytes; what fell out of it
is read again from the log in pages.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.formats import native_sse
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.shared.log.reader import PAGE, Logged
from outlive.shared.model.cursor import START, Cursor

if TYPE_CHECKING:
    from outlive.api.fanout.viewer import Viewer

_CHUNK_BYTES: Final = 65_536
"""Per write, so that one viewer's catch-up does not hold a whole log in its socket's buffer."""
_CHUNKS: Final = 32
"""Kept for viewers who catch up side by side: 2 MB a feed at the most, while there are such viewers."""


class Ending(StrEnum):
    """Why a feed, and with it every viewer's response, ends."""

    TERMINAL = "terminal"
    GONE = "gone"
    AWAY = "away"
    """Redis cannot be read here; the viewers resume, perhaps elsewhere."""


class Chunk(NamedTuple):
    """One write: some frames, the position after them, and the last event's cursor."""

    data: bytes
    end: int
    last: Cursor


class Feed:
    """Positions count events since the feed was filled; `first` is that of the oldest one held."""

    def __init__(self, generation_id: str, limit_bytes: int) -> None:
        self.generation_id = generation_id
        self.viewers: set[Viewer] = set()
        self.ending: Ending | None = None
        self.incarnation = 0
        """Rises when the log turned out to be another one than was shown; viewers are then reset."""
        self.first = 0
        self.end = 0
        """The position after the newest event; kept and not counted, as every write looks at it."""
        self.idle_since: float | None = None
        self.lost_since: float | None = None
        self.renditions: dict[Format, EncodedWindow] = {}
        """By each wire that has been asked for; see `render`."""
        self.rendering = asyncio.Lock()
        """Held by whoever reads the log for a new one, so that it is read once."""
        self._limit_bytes = limit_bytes
        self._events: list[Logged] = []
        self._bytes = 0
        self._chunks: dict[tuple[int, Format], Chunk] = {}

    @property
    def last(self) -> Cursor:
        """The newest event held; `START` before the first."""
        return self._events[-1].cursor if self._events else START

    def lag(self, newest: Cursor) -> int:
        """Events of the same attempt that the log has and this feed has not read yet."""
        return max(0, newest.seq - self.last.seq) if newest.epoch == self.last.epoch else 0

    def extend(self, events: Sequence[Logged]) -> bool:
        """Take in newer events. False when they show that the log lost something already shown: a
        terminal whose `cut` is not our last event; it was not taken in, and the feed has to restart."""
        end, last = self.end, self.last
        for event in events:
            if event.cursor <= last:
                continue
            if native_sse.is_terminal(event):
                cut = native_sse.cut_of(event)
                if cut is not None and cut != str(last):
                    return False
                self.ending = Ending.TERMINAL
            last = event.cursor
            self._events.append(event)
            self.end += 1
            self._bytes += len(event.data)
            for each in self.renditions.values():
                self._bytes += each.add(event)
        # What ended at the end was one write as far as it went.
        if self._chunks:
            self._chunks = {place: chunk for place, chunk in self._chunks.items() if chunk.end != end}
        if self._bytes > self._limit_bytes:
            self._trim()
        return True

    def render(self, rendition: EncodedWindow) -> None:
        """Tell the window on one more wire. The rendition has been given all before it."""
        self.renditions[rendition.wire] = rendition
        self._bytes += sum(map(rendition.add, self._events))

    def restart(self) -> None:
        """Forget the window: it is told again from the log's first event."""
        self._events.clear()
        self._chunks.clear()
        for rendition in self.renditions.values():
            rendition.restart()
        self._bytes = self.first = self.end = 0
        self.incarnation += 1
        self.ending = self.lost_since = None

    def position_after(self, place: ResumePoint, wire: Format) -> tuple[int, bytes] | None:
        """Where a viewer that has seen `place` goes on, and what comes before that: the rest of an
        event it was told in part. None when the place is not in the window."""
        if isinstance(place, FrameNumber):
            found = self.renditions[wire].after(place)
            return None if found is None else (self.first + found[0], found[1])
        if place == START:
            return (0, b"") if self.first == 0 else None
        index = bisect_left(self._events, place, key=lambda event: event.cursor)
        if index < len(self._events) and self._events[index].cursor == place:
            return self.first + index + 1, b""
        return None

    def is_below_window(self, place: ResumePoint, wire: Format) -> bool:
        """Whether the place, if it is in the log at all, must be looked for there."""
        if isinstance(place, FrameNumber):
            return self.renditions[wire].is_below(place)
        return self.first > 0 and place < self._events[0].cursor

    def is_ahead(self, place: ResumePoint, wire: Format) -> bool:
        """Whether the place is beyond all that is known of the log."""
        return place > self.renditions[wire].told if isinstance(place, FrameNumber) else place > self.last

    def chunk(self, position: int, wire: Format) -> Chunk:
        """The frames from `position` on, as one write. The wire has been rendered."""
        made = self._chunks.get((position, wire))
        if made is None:
            if len(self._chunks) == _CHUNKS:
                self._chunks.clear()
            # Nearly all viewers ask from the same places, so what is remembered serves them all.
            made = self._chunks[position, wire] = self._make(position, self.renditions[wire])
        return made

    def count_of(self, size_bytes: int) -> int:
        """About how many events have this size, as far as those held here tell."""
        return max(1, min(PAGE, size_bytes * len(self._events) // (self._bytes or 1)))

    def _make(self, position: int, rendition: EncodedWindow) -> Chunk:
        start = index = position - self.first
        size = 0
        while index < len(self._events) and size < _CHUNK_BYTES:
            size += rendition.size_of(index)
            index += 1
        data = rendition.joined(self._events[start:index], start, index)
        return Chunk(data, self.first + index, self._events[index - 1].cursor)

    def _trim(self) -> None:
        """Drop the older half by bytes: a little every time would cost a copy every time."""
        index = 0
        while self._bytes > self._limit_bytes // 2 and index < len(self._events) - 1:
            self._bytes -= len(self._events[index].data)
            self._bytes -= sum(each.size_of(index) for each in self.renditions.values())
            index += 1
        del self._events[:index]
        for rendition in self.renditions.values():
            rendition.trim(index)
        self._chunks.clear()
        self.first += index
