"""Owns all feeds of this process: opens, fills, warms and ends them; `feed_checks.py` looks after them.

Knows nothing of HTTP; a viewer is handed in with its sink. All Redis reading for viewers goes
through here, so its cost grows with watched generations, never with viewers.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from outlive.api.fanout.encoding import render
from outlive.api.fanout.feed import Ending, Feed
from outlive.api.fanout.feed_checks import FeedChecks
from outlive.api.fanout.resume import place
from outlive.api.fanout.sink import Sink
from outlive.api.fanout.slow_viewers import cut_stalled
from outlive.api.fanout.tail_readers import TailReaders
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import Writable, WriteQueue
from outlive.api.formats.format import Format, ResumePoint
from outlive.api.metrics import ApiMetrics, Watched
from outlive.shared.errors import GenerationGone
from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.settings import Settings
from outlive.shared.store.plane import LogPlane

log = logging.getLogger(__name__)

_LAST_S: Final = 1.0
"""After a drain, for viewers to take the last of what was written to them."""


class Hub:
    """`run` owns the reader and the timers; `attach` adds a viewer."""

    def __init__(self, settings: Settings, reader: LogReader, plane: LogPlane, measures: ApiMetrics) -> None:
        self.draining = False
        self._settings = settings
        self._reader = reader
        self._measures = measures
        self._tails = TailReaders(plane, self._deliver, self._reconnected)
        self._feeds: dict[str, Feed] = {}
        self._by_key: dict[str, Feed] = {}
        self._listeners: dict[str, Writable] = {}
        self._filling: dict[str, asyncio.Task[None]] = {}
        self._pages: set[asyncio.Task[None]] = set()
        self._viewers: set[Viewer] = set()
        self._turns = WriteQueue()
        self._heal_s = settings.lease_s / 3 + 1
        self._checks = FeedChecks(
            reader, self._tails, measures, self._feeds, self._filling,
            end=self._end, restart=self._restart, heal_s=self._heal_s,
        )  # fmt: skip
        self._empty = asyncio.Event()
        self._empty.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tails.run(), name="tails")
                tasks.create_task(self._turns.run(), name="write to viewers")
                tasks.create_task(self._checks.run(), name="check feeds")
                tasks.create_task(self._beat_for_ever(), name="heartbeats")
                tasks.create_task(cut_stalled(self._viewers, self._settings.stall_s), name="cut stalled viewers")
        finally:
            for task in [*self._filling.values(), *self._pages]:
                task.cancel()

    def viewers_of(self, generation_id: str) -> int:
        """Viewers of this generation on this process."""
        feed = self._feeds.get(generation_id)
        return len(feed.viewers) if feed else 0

    def counts(self) -> dict[str, int]:
        """Viewers on this process of every generation that has any."""
        return {feed.generation_id: len(feed.viewers) for feed in self._feeds.values() if feed.viewers}

    def watched(self) -> Watched:
        """What this process has open now."""
        return Watched(len(self._viewers), len(self._feeds))

    def listen(self, key: str, after: Cursor, listener: Writable) -> None:
        """Read one more key; when it has events, this one stands in the queue behind the viewers."""
        self._listeners[key] = listener
        self._tails.watch(key, after)

    def forget(self, key: str) -> None:
        self._listeners.pop(key, None)
        self._tails.forget(key)

    def retry_s(self) -> float:
        """A reconnect delay with jitter, so that a thousand cut viewers do not return at once."""
        return self._settings.retry_s * random.uniform(1, 3)

    async def attach(self, generation_id: str, after: ResumePoint, sink: Sink, wire: Format) -> Viewer:
        """Add a viewer that has seen `after`, and bring it up to date. Raises `LogUnavailable`,
        `GenerationGone`."""
        feed = self._feeds.get(generation_id) or self._open(generation_id)
        viewer = Viewer(feed, sink, self._reader.page, self._pages, wire, wire.farewell(self.retry_s()))
        feed.viewers.add(viewer)
        self._viewers.add(viewer)
        self._empty.clear()
        feed.idle_since = None
        try:
            if (filling := self._filling.get(generation_id)) is not None:
                await asyncio.shield(filling)
            await render(feed, wire, self._reader)
            await place(viewer, after, self._reader, heal_s=self._heal_s)
        except BaseException:
            self.detach(viewer)
            raise
        self._measures.attached(viewer.behind)
        if self.draining:
            viewer.leave()
        viewer.advance()
        return viewer

    def detach(self, viewer: Viewer, *, has_stalled: bool = False) -> None:
        """The viewer is gone; the generation goes on, and the feed stays warm for a while."""
        if viewer in self._viewers:
            self._measures.detached("stalled" if has_stalled else viewer.outcome)
        viewer.ended = True
        feed = viewer.feed
        feed.viewers.discard(viewer)
        self._viewers.discard(viewer)
        if not self._viewers:
            self._empty.set()
        if not feed.viewers:
            feed.idle_since = asyncio.get_running_loop().time()

    async def drain(self) -> None:
        """End every viewer's response cleanly, spread over `viewer_drain_s`, so that they do not all
        reconnect at once. No terminal: they resume on another replica."""
        self.draining = True
        viewers = list(self._viewers)
        random.shuffle(viewers)
        for viewer in viewers:
            viewer.leave()
            await asyncio.sleep(self._settings.viewer_drain_s / len(viewers))
        # What waits for those who read is sent; those who do not must not hold up the exit.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._empty.wait()
        for viewer in list(self._viewers):
            viewer.sink.cut()

    def _open(self, generation_id: str) -> Feed:
        feed = Feed(generation_id, self._settings.feed_bytes)
        self._feeds[generation_id] = feed
        self._by_key[self._reader.log_key(generation_id)] = feed
        self._start_filling(feed, self._fill(feed))
        return feed

    def _start_filling(self, feed: Feed, work: Coroutine[Any, Any, None]) -> None:
        # One filling for all who come meanwhile: a reconnect storm costs Redis one read.
        task = asyncio.create_task(work, name=f"fill {feed.generation_id}")
        self._filling[feed.generation_id] = task
        task.add_done_callback(lambda _: self._filled(feed, task))

    def _filled(self, feed: Feed, task: asyncio.Task[None]) -> None:
        self._filling.pop(feed.generation_id, None)
        if task.cancelled() or task.exception() is not None:
            self._end(feed, Ending.AWAY)

    async def _fill(self, feed: Feed) -> None:
        async for events in self._reader.pages(feed.generation_id):
            feed.extend(events)
        if feed.last == START:
            raise GenerationGone
        if feed.ending is None:
            self._tails.watch(self._reader.log_key(feed.generation_id), feed.last)

    def _deliver(self, tails: Mapping[str, Sequence[Logged]]) -> int:
        told = 0
        for key, events in tails.items():
            feed = self._by_key.get(key)
            if feed is None or feed.ending is not None:
                continue
            if feed.extend(events):
                self._turns.add(feed.viewers)
                told += len(feed.viewers)
            else:
                self._restart(feed)
            if feed.ending is not None:
                self._tails.forget(key)
        if heard := self._listeners.keys() & tails.keys():
            self._turns.add(self._listeners[key] for key in heard)
        return told

    def _reconnected(self) -> None:
        self._checks.soon()

    def _restart(self, feed: Feed) -> None:
        """The log is not the one we showed: read it again from its start and reset the viewers."""
        log.warning("the log lost events that were shown; viewers are reset", extra={"generation": feed.generation_id})
        self._tails.forget(self._reader.log_key(feed.generation_id))
        self._start_filling(feed, self._refill(feed))

    async def _refill(self, feed: Feed) -> None:
        feed.restart()
        await self._fill(feed)
        self._turns.add(feed.viewers)

    def _end(self, feed: Feed, ending: Ending) -> None:
        feed.ending = feed.ending or ending
        self._turns.add(feed.viewers)
        self._drop(feed)

    def _drop(self, feed: Feed) -> None:
        key = self._reader.log_key(feed.generation_id)
        if self._feeds.get(feed.generation_id) is feed:
            del self._feeds[feed.generation_id]
            del self._by_key[key]
            self._tails.forget(key)

    async def _beat_for_ever(self) -> None:
        """Heartbeats for quiet viewers, an end for feeds nobody watches."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.heartbeat_s / 2)
            for feed in list(self._feeds.values()):
                if feed.idle_since is not None and loop.time() - feed.idle_since > self._settings.feed_linger_s:
                    self._drop(feed)
                for viewer in feed.viewers:
                    viewer.quiet_ticks += 1
                    if viewer.quiet_ticks >= 2:
                        viewer.beat()
