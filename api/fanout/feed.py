"""Owns one process's copy of the newest part of one log, encoded once in each format for all viewers.

Pure. A viewer is a position in here, not a queue: catching up and following live are the same question, and a slow
viewer costs one integer. The window is bounded by bytes; older events are read again from the log in pages. Who reads
logs into feeds, and who watches a feed: `feeds.py`.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.ending import Ending
from outlive.api.formats import native_sse
from outlive.api.formats.format import Format, ResumePoint
from outlive.shared.log.messages import Message
from outlive.shared.log.reader import PAGE, Logged
from outlive.shared.model.cursor import START, Cursor

_CHUNK_BYTES: Final = 65_536
"""Per write, so that one viewer's catch-up does not hold a whole log in its socket's buffer."""
_MAX_CHUNKS: Final = 32
"""Kept for viewers that catch up side by side: at most 2 MB a feed, while there are such viewers."""


class Chunk(NamedTuple):
    """One write: some frames, and the position and the resume point after them."""

    data: bytes
    end: int
    last: ResumePoint


class Taken(Enum):
    """What became of a message."""

    NEW = auto()
    """It continued what the feed holds, which is now as new as the log was when the message was sent."""
    OLD = auto()
    """The feed has all of it."""
    HOLE = auto()
    """It does not continue what the feed holds: the log must be read. Nothing was taken."""


class Feed:
    """Positions count events since the log was read; `first` is the position of the oldest event held."""

    def __init__(self, generation_id: str, limit_bytes: int) -> None:
        self.generation_id = generation_id
        self.ending: Ending | None = None
        self.incarnation = 0
        """Rises when the log turned out to be another one than viewers were shown; they are then reset."""
        self.first = 0
        self.end = 0
        """The position after the newest event. Kept and not computed: every write reads it."""
        self.before = START
        """The newest event that was dropped from the window; `START` while it holds the whole log."""
        self.windows: dict[Format, EncodedWindow] = {}
        """By format, for each in which a viewer has asked for this log (`encode.py`)."""
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

    def take(self, message: Message) -> Taken:
        """Take what is new in a message, if it continues what is held."""
        last = self.last
        if self.ending is not None or message.last <= last:
            return Taken.OLD
        events = message.events
        if not events:
            return Taken.HOLE
        if message.before != last:
            # Sent before the feed was read, and longer than what was read: the rest of it continues. Events of a
            # higher epoch do not: whether the log still has what is held must be looked up there.
            if events[0].cursor > last or message.last.epoch != last.epoch:
                return Taken.HOLE
            events = events[last.seq + 1 - events[0].cursor.seq :]
        return Taken.NEW if self.extend(events) else Taken.HOLE

    def extend(self, events: Sequence[Logged]) -> bool:
        """Take newer events. False, and no further event is taken, at one that does not continue what is held: it is
        not the next of its attempt, not the first of a later one, or a terminal whose `cut` is not our last event.
        Then the log lost events that viewers were shown, or these are not the log's next ones."""
        end, last = self.end, self.last
        for event in events:
            cursor = event.cursor
            if not (
                cursor.seq == last.seq + 1
                if cursor.epoch == last.epoch
                else cursor.seq == 0 < cursor.epoch - last.epoch
            ):
                return self._extended(end, continues=False)
            if native_sse.is_terminal(event):
                cut = native_sse.cut_of(event)
                if cut is not None and cut != str(last):
                    return self._extended(end, continues=False)
                self.ending = Ending.TERMINAL
            last = cursor
            self._events.append(event)
            self.end += 1
            self._bytes += len(event.data)
            for window in self.windows.values():
                self._bytes += window.add(event)
        return self._extended(end, continues=True)

    def _extended(self, former_end: int, *, continues: bool) -> bool:
        # A chunk that ended at the former end may be longer now.
        if self._chunks:
            self._chunks = {key: chunk for key, chunk in self._chunks.items() if chunk.end != former_end}
        if self._bytes > self._limit_bytes:
            self._trim()
        return continues

    def close(self, ending: Ending) -> None:
        """No more events will come. The first reason given stays."""
        self.ending = self.ending or ending

    def add_window(self, window: EncodedWindow) -> None:
        """Encode the events held, and those to come, in one more format. The window was given all events before."""
        self.windows[window.format] = window
        self._bytes += sum(map(window.add, self._events))

    def restart(self) -> None:
        """Drop all events: the log follows again from its first one."""
        self._events.clear()
        self._chunks.clear()
        for window in self.windows.values():
            window.restart()
        self._bytes = self.first = self.end = 0
        self.before = START
        self.incarnation += 1
        self.ending = None

    def position_after(self, point: ResumePoint, format_: Format) -> tuple[int, bytes] | None:
        """Where a viewer that has seen `point` goes on, and the unseen frames of the event before that position.
        None if the point is not in the window."""
        match = self.windows[format_].index_after(point)
        return None if match is None else (self.first + match[0], match[1])

    def chunk(self, position: int, format_: Format) -> Chunk:
        """The frames from `position` on, as one write. The feed has a window of the format."""
        chunk = self._chunks.get((position, format_))
        if chunk is None:
            if len(self._chunks) == _MAX_CHUNKS:
                self._chunks.clear()
            # Nearly all viewers ask for the same positions, so one chunk serves them all.
            chunk = self._chunks[position, format_] = self._make_chunk(position, self.windows[format_])
        return chunk

    def count_of(self, size_bytes: int) -> int:
        """About how many events have this size, estimated from those held here."""
        return max(1, min(PAGE, size_bytes * len(self._events) // (self._bytes or 1)))

    def _make_chunk(self, position: int, window: EncodedWindow) -> Chunk:
        start = index = position - self.first
        size = 0
        while index < len(self._events) and size < _CHUNK_BYTES:
            size += window.size_of(index)
            index += 1
        data = window.join(self._events[start:index], start, index)
        return Chunk(data, self.first + index, window.point_at(index - 1))

    def _trim(self) -> None:
        """Drop the older half by bytes: a little every time would cost a copy every time."""
        index = 0
        while self._bytes > self._limit_bytes // 2 and index < len(self._events) - 1:
            self._bytes -= len(self._events[index].data)
            self._bytes -= sum(window.size_of(index) for window in self.windows.values())
            index += 1
        if index:
            self.before = self._events[index - 1].cursor
        del self._events[:index]
        for window in self.windows.values():
            window.trim(index)
        self._chunks.clear()
        self.first += index
