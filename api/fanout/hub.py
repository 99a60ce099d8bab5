"""Owns the fan-out of this process: attaches viewers to feeds, drains them, and runs all that serves them.

Knows nothing of HTTP; a viewer comes with its sink. All reading of Redis for viewers is behind this class, so its cost
grows with the generations that are watched, never with viewers. Neighbours: `feeds.py` keeps the feeds, `viewer.py`
writes to one viewer, `feed_checks.py` compares feeds with their logs.
"""

import asyncio
import random
from contextlib import suppress
from typing import Final

from outlive.api.fanout.encode import encode
from outlive.api.fanout.end_waiter import EndWaiter
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed_checks import FeedChecks
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.heartbeats import beat_until_cancelled
from outlive.api.fanout.idle_feeds import close_idle_until_cancelled
from outlive.api.fanout.log_subscribers import LogSubscribers
from outlive.api.fanout.loop_clock import LoopClock
from outlive.api.fanout.open_feed import OpenFeed, Watcher
from outlive.api.fanout.pages import Pages
from outlive.api.fanout.resume import resume
from outlive.api.fanout.sink import Sink
from outlive.api.fanout.slow_viewers import cut_stalled_until_cancelled
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import Writable, WriteQueue
from outlive.api.formats.format import Format, ResumePoint
from outlive.api.metrics import ApiMetrics, Watched
from outlive.shared.log.reader import LogReader
from outlive.shared.settings import Settings
from outlive.shared.store.plane import LogPlane

_LAST_S: Final = 1.0
"""After a drain: the time viewers have to take what was written to them last."""


class Hub:
    """`run` owns the reading and the timers; `attach` adds a viewer."""

    def __init__(self, settings: Settings, reader: LogReader, plane: LogPlane, metrics: ApiMetrics) -> None:
        self.draining = False
        self._settings = settings
        self._reader = reader
        self._metrics = metrics
        self._clock = LoopClock()
        self._heal_s = settings.lease_s / 3 + 1
        """How long a log that lacks events is waited for: its worker may be about to write them again."""
        self._queue = WriteQueue()
        self._pages = Pages(reader)
        self._subscribers = LogSubscribers(plane, lease_s=settings.lease_s)
        self.feeds = Feeds(
            reader,
            self._subscribers,
            self._queue,
            limit_bytes=settings.feed_bytes,
            heal_s=self._heal_s,
            clock=self._clock,
        )
        self._checks = FeedChecks(reader, metrics, self.feeds, heal_s=self._heal_s, clock=self._clock)
        self._nobody_watches = asyncio.Event()
        self._nobody_watches.set()

    async def run(self) -> None:
        """Until cancelled."""
        settings, clock = self._settings, self._clock
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._subscribers.run(self.feeds), name="log subscribers")
                tasks.create_task(self._queue.run(), name="write to viewers")
                tasks.create_task(self._checks.run(), name="check feeds")
                tasks.create_task(beat_until_cancelled(self.feeds, settings.heartbeat_s, clock), name="heartbeats")
                tasks.create_task(
                    close_idle_until_cancelled(self.feeds, settings.feed_linger_s, clock), name="close idle feeds"
                )
                tasks.create_task(
                    cut_stalled_until_cancelled(self.feeds, settings.stall_s, clock), name="cut stalled viewers"
                )
        finally:
            self.feeds.close()
            self._pages.close()

    def viewers_of(self, generation_id: str) -> int:
        """Viewers of this generation on this process."""
        return self.feeds.watchers_of(generation_id)

    def counts(self) -> dict[str, int]:
        """Viewers on this process of every generation that has any."""
        return {opened.feed.generation_id: len(opened.watchers) for opened in self.feeds if opened.watchers}

    def watched(self) -> Watched:
        """What this process has open now."""
        return Watched(len(self.feeds.watchers), len(self.feeds))

    def listen(self, key: str, listener: Writable) -> None:
        """Listen to one more channel. At its messages the listener joins the queue behind the viewers."""
        self.feeds.listen(key, listener)

    def forget(self, key: str) -> None:
        """Listen to it no more."""
        self.feeds.forget(key)

    def retry_s(self) -> float:
        """A reconnect delay with jitter, so that a thousand cut viewers do not return at once."""
        return self._settings.retry_s * random.uniform(1, 3)

    async def attach(self, generation_id: str, after: ResumePoint, sink: Sink, format_: Format) -> Viewer:
        """Add a viewer that has seen everything up to `after`, and bring it up to date. Raises `LogUnavailable`,
        `GenerationGone`."""
        opened = self.feeds.open(generation_id)
        viewer = Viewer(opened.feed, sink, format_, self._pages, format_.farewell(self.retry_s()))
        self._admit(opened, viewer)
        try:
            await self.feeds.wait_until_read(opened)
            await encode(opened, format_, self._reader)
            if opened.feed.windows[format_].is_ahead(after):
                self.feeds.doubt(opened)
            await resume(viewer, after, self._reader, heal_s=self._heal_s, clock=self._clock)
        except BaseException:
            self.detach(viewer)
            raise
        self._metrics.attached(viewer.behind)
        if self.draining:
            viewer.leave()
        viewer.advance()
        return viewer

    async def wait_for_end(self, generation_id: str) -> Ending:
        """Until the log has its terminal or is gone, Redis is away, or this process drains; says which of them. Counts
        as a viewer meanwhile. Raises `LogUnavailable` and `GenerationGone` if the log cannot be read to begin with."""
        opened = self.feeds.open(generation_id)
        waiter = EndWaiter(opened.feed)
        self._admit(opened, waiter)
        try:
            await self.feeds.wait_until_read(opened)
            self._metrics.attached(opened.feed.end)
            if self.draining:
                waiter.leave()
            waiter.advance()
            return await waiter.wait()
        finally:
            self.detach(waiter)

    def detach(self, watcher: Watcher, *, has_stalled: bool = False) -> None:
        """The viewer is gone; `has_stalled` if the kernel gave it up. The generation goes on, and the feed stays
        open for a while."""
        watcher.detach(has_stalled=has_stalled)
        if self.feeds.remove_watcher(watcher, self._clock.time()):
            self._metrics.detached(watcher.outcome)
        if not self.feeds.watchers:
            self._nobody_watches.set()

    async def drain(self) -> None:
        """End every viewer's response cleanly, spread over `viewer_drain_s`, so that they do not all reconnect at
        once. They get no terminal: they resume on another replica."""
        self.draining = True
        watchers = list(self.feeds.watchers)
        random.shuffle(watchers)
        for watcher in watchers:
            watcher.leave()
            await asyncio.sleep(self._settings.viewer_drain_s / len(watchers))
        # Viewers that read get what waits for them; those that do not must not hold up the exit.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._nobody_watches.wait()
        for watcher in list(self.feeds.watchers):
            watcher.cut()

    def _admit(self, opened: OpenFeed, watcher: Watcher) -> None:
        self.feeds.add_watcher(opened, watcher)
        self._nobody_watches.clear()
