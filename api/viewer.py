"""Owns one viewer: a position in a feed, and the writes that bring its socket up to it.

At most one write is under way. When the socket is full the write waits in a task of its own and
the position stays behind; nothing is queued for this viewer and no other viewer notices.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from starlette.types import Send

from api import frames, push
from api.feed import Ending, Feed
from shared.cursor import START, Cursor
from shared.errors import LogUnavailable
from shared.logreader import Logged

log = logging.getLogger(__name__)

ReadPage = Callable[[str, Cursor], Awaitable[Sequence[Logged]]]


class Viewer:
    """`advance` may be called at any time and any number of times; it never waits."""

    def __init__(
        self, feed: Feed, send: Send, read_page: ReadPage, tasks: set[asyncio.Task[None]], *, fold: bool, retry: bytes
    ) -> None:
        self.feed = feed
        self.quiet_ticks = 0
        self._send = send
        self._read_page = read_page
        self._tasks = tasks
        self._fold = fold
        self._retry = retry
        self._cursor: Cursor = START
        self._position: int | None = None
        self._incarnation = feed.incarnation
        self._preface = b""
        self._placed = False
        self._writing = False
        self._leaving = False
        self.ended = False

    def place(self, after: Cursor, position: int | None) -> None:
        """Go on after this event; without a position it is below the window."""
        self._cursor, self._position = after, position
        self._placed = True

    def reset(self, reason: str) -> None:
        """Say `reset`, then everything from the start."""
        self._preface = frames.reset(reason)
        self.place(START, self.feed.position_after(START))

    def advance(self) -> None:
        """Write what is new, if nothing is being written and it is known from where."""
        if self._writing or self.ended or not self._placed:
            return
        self._writing = True
        if self._is_below_window():
            # Pages come from Redis, which must not be asked in somebody else's task.
            task = asyncio.ensure_future(self._pump())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            push.start(self._pump(), self._tasks)

    def beat(self) -> None:
        """A heartbeat, unless a write is under way: then the socket is full or busy."""
        if not self._writing and not self.ended:
            self._preface += frames.HEARTBEAT
            self.advance()

    def leave(self) -> None:
        """End the response cleanly, without a terminal, so that the viewer resumes."""
        self._leaving = True
        self.advance()

    async def _pump(self) -> None:
        try:
            while not self.ended:
                data = await self._page() if self._is_below_window() and not self._leaving else self._next()
                if data:
                    self.quiet_ticks = 0
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
                elif self._leaving or self.feed.ending is not None:
                    self.ended = True
                    farewell = b"" if self.feed.ending is Ending.TERMINAL and not self._leaving else self._retry
                    await self._send({"type": "http.response.body", "body": farewell, "more_body": False})
                else:
                    return
        except Exception:
            # One viewer's broken response must not end the feed for all the others.
            self.ended = True
            log.warning("a viewer of %s could not be written to", self.feed.generation_id, exc_info=True)
        finally:
            self._writing = False

    def _next(self) -> bytes:
        """What to write now; empty when the viewer is at the live end, or leaves."""
        feed = self.feed
        if self._leaving:
            return b""
        preface, self._preface = self._preface, b""
        if self._incarnation != feed.incarnation:
            self._incarnation = feed.incarnation
            preface = frames.reset("log_changed")
            self.place(START, feed.position_after(START))
        if self._position is None or self._position == feed.end:
            return preface
        data, self._position = feed.chunk(self._position, fold=self._fold)
        self._cursor = feed.cursor_before(self._position)
        return preface + data if preface else data

    async def _page(self) -> bytes:
        """The same from the log, for a viewer that is below the window."""
        preface, self._preface = self._preface, b""
        try:
            events = await self._read_page(self.feed.generation_id, self._cursor)
        except LogUnavailable:
            events = []
        if not events:
            # Out of reach, or its retention has passed meanwhile: the viewer asks again and is told.
            self._leaving = True
            return preface
        self.place(events[-1].cursor, self.feed.position_after(events[-1].cursor))
        return preface + (frames.folded(events) if self._fold else b"".join(map(frames.frame, events)))

    def _is_below_window(self) -> bool:
        if self._incarnation != self.feed.incarnation:
            # What it has seen is of another log; it begins at the start of this one.
            return False
        return self._position is None or self._position < self.feed.first
