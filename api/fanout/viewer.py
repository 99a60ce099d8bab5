"""Owns one viewer: a position in a feed, and the writes that bring its sink up to it.

When the sink is full the position stays behind; nothing is queued for this viewer and no other
viewer notices.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from outlive.api.fanout.encoded_window import Replay
from outlive.api.fanout.feed import Ending, Feed
from outlive.api.fanout.sink import Sink
from outlive.api.formats.format import Format, ResumePoint
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import PAGE, Logged
from outlive.shared.model.cursor import START, Cursor

log = logging.getLogger(__name__)

ReadPage = Callable[[str, Cursor, int], Awaitable[Sequence[Logged]]]

_PAGE_BYTES: Final = 32_768
"""Per write of what only the log has. No viewer shares it, so it is all that one which stops reading
may hold: with 500 of them 16 MB."""


class Viewer:
    """`advance` may be called at any time and any number of times; it never waits."""

    __slots__ = (
        "_after", "_farewell", "_incarnation", "_is_advancing", "_leaving", "_placed", "_position", "_preface",
        "_read_page", "_replay", "_tasks", "ended", "feed", "outcome", "quiet_ticks", "sink", "wire",
    )  # fmt: skip

    def __init__(
        self, feed: Feed, sink: Sink, read_page: ReadPage, tasks: set[asyncio.Task[None]], wire: Format, farewell: bytes
    ) -> None:
        """`farewell` is said where the log has not ended."""
        self.feed = feed
        self.sink = sink
        self.wire = wire
        self.quiet_ticks = 0
        self._read_page = read_page
        self._tasks = tasks
        self._farewell = farewell
        self._after: ResumePoint = START
        self._replay: Replay | None = None
        self._position: int | None = None
        self._incarnation = feed.incarnation
        self._preface = b""
        self._placed = False
        self._is_advancing = False
        self._leaving = False
        self.ended = False
        self.outcome = "left"
        """Why its response ends, in a word; until we know better, because the viewer goes."""
        sink.on_room = self.advance

    @property
    def behind(self) -> int:
        """Events it lacks; where its place is not in memory, at most so many."""
        return self.feed.end - (self._position or 0)

    def place(self, after: ResumePoint, position: int | None, rest: bytes = b"") -> None:
        """Go on after what it has seen, first with the `rest` of an event it was told in part; without
        a position it is below the window."""
        self._after, self._position, self._replay = after, position, None
        self._preface += rest
        self._placed = True

    def reset(self, reason: str) -> None:
        """Say `reset`, then everything from the start. A wire that cannot say it ends here."""
        preface = self.wire.reset(reason)
        self._preface = preface or b""
        found = self.feed.position_after(START, self.wire)
        self.place(START, None if found is None else found[0])
        if preface is None:
            self._farewell = self.wire.lost(reason)
            self._leaving = True

    def advance(self) -> None:
        """Write what is new, as far as the sink takes it and if it is known from where."""
        if self._is_advancing or not self._placed:
            return
        # A sink may call back from within a write; and a page that is being read comes first.
        self._is_advancing = True
        try:
            while not self.ended and not self.sink.is_full:
                if self._is_below_window() and not self._leaving:
                    self._start_paging()
                    return
                if not self._write_next():
                    break
        except Exception:
            self._give_up()
        self._is_advancing = False

    def beat(self) -> None:
        """A heartbeat, unless the sink is full: what waits there says as much."""
        if not self.sink.is_full and not self.ended:
            self._preface += self.wire.heartbeat
            self.advance()

    def leave(self) -> None:
        """End the response cleanly, without a terminal, so that the viewer resumes."""
        self._leaving, self.outcome = True, "drained"
        self.advance()

    def _write_next(self) -> bool:
        """One write; False at the live end."""
        data = self._next()
        if data:
            self.quiet_ticks = 0
            self.sink.write(data)
        is_ending = self._leaving or self.feed.ending is not None or self.feed.renditions[self.wire].is_over
        if data:
            # Mostly this was all there is, and a second look would cost as much as the write.
            return is_ending or self._position != self.feed.end
        if is_ending:
            self.ended = True
            if self.feed.ending is not None and not self._leaving:
                self.outcome = self.feed.ending
            is_whole = not self._leaving and self.feed.ending in (None, Ending.TERMINAL)
            self.sink.end(b"" if is_whole else self._farewell)
        return False

    def _next(self) -> bytes:
        """What to write now; empty when the viewer is at the live end, or leaves."""
        feed = self.feed
        if self._leaving:
            return b""
        if self._incarnation != feed.incarnation:
            self._incarnation = feed.incarnation
            self.reset("log_changed")
        preface, self._preface = self._preface, b""
        if self._leaving or self._position is None:
            return preface
        # Some events are nothing on some wires.
        data = b""
        while not data and self._position < feed.end:
            data, self._position, self._after = feed.chunk(self._position, self.wire)
        return preface + data if preface else data

    def _start_paging(self) -> None:
        # Pages come from Redis, which must not be asked in somebody else's task.
        task = asyncio.ensure_future(self._page())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _page(self) -> None:
        """Write one page from the log, for a viewer that is below the window, and go on."""
        if self._replay is None:
            self._position = None
            self._replay = Replay(self.wire, self.feed.renditions[self.wire].head, self._after)
        try:
            count = PAGE if self._replay.is_passing_over else self.feed.count_of(_PAGE_BYTES)
            events = await self._read_page(self.feed.generation_id, self._replay.cursor, count)
            self._write_page(self._replay, events)
        except LogUnavailable:
            self._leaving, self.outcome = True, Ending.AWAY
        except Exception:
            self._give_up()
        finally:
            self._is_advancing = False
        self.advance()

    def _write_page(self, replay: Replay, events: Sequence[Logged]) -> None:
        if self.ended or self._incarnation != self.feed.incarnation:
            return
        if not events:
            # Its retention has passed meanwhile: the viewer asks again and is told.
            self._leaving, self.outcome = True, Ending.GONE
            return
        preface, self._preface = self._preface, b""
        if data := preface + replay.take(events, _PAGE_BYTES):
            self.quiet_ticks = 0
            self.sink.write(data)

    def _give_up(self) -> None:
        # One viewer's broken response must not end the feed for all the others.
        self.ended, self.outcome = True, "broken"
        log.warning("a viewer could not be written to", exc_info=True, extra={"generation": self.feed.generation_id})

    def _is_below_window(self) -> bool:
        if self._incarnation != self.feed.incarnation:
            # What it has seen is of another log; it begins at the start of this one.
            return False
        if self._replay is not None:
            found = self.feed.position_after(self._replay.cursor, self.wire)
            if found is not None:
                self.place(self._replay.cursor, found[0])
            elif self._replay.cursor > self.feed.last:
                # Its page brought more than the feed has been brought so far: the feed will catch up.
                return False
        return self._position is None or self._position < self.feed.first
