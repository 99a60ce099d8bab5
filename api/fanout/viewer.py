"""Owns one viewer: a position in a feed, and the writes that bring its sink up to date.

Its states, and what leads from one to the next: `viewer_state.py`. Does no I/O, never waits, reads no clock. When the
sink is full the position stays behind: nothing is queued for this viewer, and no other viewer notices.
"""

import logging
from collections.abc import Sequence
from typing import Final

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.pages import Pages
from outlive.api.fanout.replay import Replay
from outlive.api.fanout.sink import Sink
from outlive.api.fanout.viewer_state import MAY_FOLLOW, State
from outlive.api.formats.format import Format, ResumePoint
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import PAGE, Logged

log = logging.getLogger(__name__)

_PAGE_BYTES: Final = 32_768
"""Per write of a page. Viewers do not share pages, so this is what one that stops reading may hold: 16 MB for 500."""
_QUIET_TICKS: Final = 2
"""Ticks without a write before a heartbeat."""
_BELOW: Final = -1
"""A position below every window."""

# `advance` compares with these for each viewer and write: a global is quicker than an enum's attribute.
_LIVE: Final = State.LIVE
_LEAVING: Final = State.LEAVING


class Viewer:
    """`advance` may be called at any time and any number of times."""

    __slots__ = (
        "_after", "_farewell", "_incarnation", "_pages", "_position", "_preface", "_quiet_ticks", "_replay", "feed",
        "format", "outcome", "sink", "state",
    )  # fmt: skip

    def __init__(self, feed: Feed, sink: Sink, format_: Format, pages: Pages, farewell: bytes) -> None:
        """`farewell` is written where the response ends before the log."""
        self.feed = feed
        self.sink = sink
        self.format = format_
        self.state = State.JOINING
        self.outcome = Ending.LEFT
        """Why its response ends. Unless we learn another reason, the viewer left."""
        self._pages = pages
        self._farewell = farewell
        self._incarnation = feed.incarnation
        self._after: ResumePoint = format_.start
        self._position = 0
        self._replay: Replay | None = None
        self._preface = b""
        """To be written before what follows."""
        self._quiet_ticks = 0
        sink.on_room = self.advance

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written. A viewer that is cut because it stalled is not ended before its
        connection is lost."""
        return self.state is State.ENDED

    @property
    def behind(self) -> int:
        """Events it lacks; if it is below the window, at most so many."""
        return self.feed.end - max(self._position, 0)

    # While JOINING.

    def join(self, after: ResumePoint, position: int, rest: bytes = b"") -> None:
        """Go on after what the viewer has seen, first with the unseen `rest` of an event. A position below the window
        means: read on from the log."""
        self._become(State.LIVE)
        self._after, self._position = after, position
        self._preface += rest

    def reset(self, reason: str) -> None:
        """Write `reset`, then everything from the start. In a format that has no reset the response ends."""
        reset = self.format.reset(reason)
        if reset is None:
            self._farewell = self.format.lost(reason)
            self._become(State.LEAVING)
            return
        if self.state is not State.LIVE:
            self._become(State.LIVE)
        self._preface = reset
        self._after, self._position, self._replay = self.format.start, 0, None

    # Until ENDED.

    def advance(self) -> None:
        """Write what is new, as far as the sink takes it."""
        try:
            while (self.state is _LIVE or self.state is _LEAVING) and not self.sink.is_full and self._step():
                pass
        except Exception:
            self._break()

    def tick(self) -> None:
        """Time passed. After two ticks without a write: a heartbeat, unless the sink is full, because what waits
        there is a sign of life as well."""
        self._quiet_ticks += 1
        if self._quiet_ticks >= _QUIET_TICKS and not self.sink.is_full and not self.ended:
            self._preface += self.format.heartbeat
            self.advance()

    def leave(self) -> None:
        """End the response cleanly, without a terminal, so that the viewer resumes. While JOINING nothing happens:
        `Hub.attach` sends away viewers that join during a drain."""
        if self.state is State.LIVE or self.state is State.PAGING:
            self._start_leaving(Ending.DRAINED)

    def has_stalled(self, now: float, stall_s: float) -> bool:
        """Whether the sink has not got rid of anything for so long. To be asked regularly; `now` is the loop's time."""
        return self.sink.has_stalled(now, stall_s)

    def cut(self, reason: Ending | None = None) -> None:
        """End the connection at once. The viewer is ENDED when the connection reports that, by `detach`."""
        self.outcome = reason or self.outcome
        self.sink.cut()

    def detach(self, *, has_stalled: bool = False) -> None:
        """The connection is lost; `has_stalled` if the kernel gave it up."""
        if has_stalled:
            self.outcome = Ending.STALLED
        if not self.ended:
            self._become(State.ENDED)

    # While PAGING.

    def take_page(self, events: Sequence[Logged]) -> None:
        """The page requested: write what the viewer has not seen of it, and go on."""
        if self.state is not State.PAGING:
            return
        if self._incarnation == self.feed.incarnation and not events:
            # The log's retention has passed meanwhile: the viewer comes back, and learns that from the response.
            self._start_leaving(Ending.GONE)
            return
        self._become(State.LIVE)
        try:
            if self._incarnation == self.feed.incarnation:
                self._write_page(events)
        except Exception:
            self._break()
        self.advance()

    def miss_page(self, error: Exception) -> None:
        """The page requested could not be read."""
        if self.state is not State.PAGING:
            return
        if isinstance(error, LogUnavailable):
            self._start_leaving(Ending.AWAY)
        else:
            self._break(error)

    def _become(self, state: State) -> None:
        if state not in MAY_FOLLOW[self.state]:
            raise RuntimeError(f"A viewer that is {self.state.value} cannot become {state.value}.")
        self.state = state

    def _step(self) -> bool:
        """Write once if there is something to write. True if there may be more."""
        if self.state is _LEAVING:
            self._end(self._farewell)
            return False
        feed = self.feed
        if self._incarnation != feed.incarnation:
            # What it has seen is another log; it begins at the start of this one.
            self._incarnation = feed.incarnation
            self.reset("log_changed")
            return True
        if self._replay is not None:
            self._enter_window(self._replay)
        if self._position < feed.first:
            self._request_page()
            return False
        data, end = b"", feed.end
        # Some events have no frames in some formats.
        while not data and self._position < end:
            data, self._position, self._after = feed.chunk(self._position, self.format)
        if self._preface:
            data, self._preface = self._preface + data, b""
        is_ending = feed.ending is not None or feed.windows[self.format].is_over
        if data:
            self._quiet_ticks = 0
            self.sink.write(data)
            # Mostly this was all there is, and another step would cost as much as the write.
            return is_ending or self._position != end
        if is_ending:
            self.outcome = feed.ending or self.outcome
            self._end(b"" if feed.ending in (None, Ending.TERMINAL) else self._farewell)
        return False

    def _enter_window(self, replay: Replay) -> None:
        match = self.feed.position_after(replay.point, self.format)
        if match is not None:
            self._after, self._position, self._replay = replay.point, match[0], None
        elif self.feed.windows[self.format].is_ahead(replay.point):
            # The page held more than the feed has read so far. Nothing to write until the feed catches up.
            self._position = self.feed.end
        else:
            self._position = _BELOW

    def _request_page(self) -> None:
        if self._replay is None:
            self._replay = Replay(self.format, self.feed.windows[self.format].head, self._after)
        self._become(State.PAGING)
        count = PAGE if self._replay.is_skipping else self.feed.count_of(_PAGE_BYTES)
        self._pages.request(self, self.feed.generation_id, self._replay.cursor, count)

    def _write_page(self, events: Sequence[Logged]) -> None:
        assert self._replay is not None, "a page is requested for a replay"
        preface, self._preface = self._preface, b""
        if data := preface + self._replay.take(events, _PAGE_BYTES):
            self._quiet_ticks = 0
            self.sink.write(data)

    def _start_leaving(self, reason: Ending) -> None:
        self.outcome = reason
        self._become(State.LEAVING)
        self.advance()

    def _end(self, data: bytes) -> None:
        self._become(State.ENDED)
        self.sink.end(data)

    def _break(self, error: Exception | None = None) -> None:
        # One viewer's broken response must not end the feed for all the others.
        self.outcome = Ending.BROKEN
        if not self.ended:
            self._become(State.ENDED)
        log.warning(
            "a viewer could not be written to", exc_info=error or True, extra={"generation": self.feed.generation_id}
        )
