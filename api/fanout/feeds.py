"""Owns the feeds of this process: which are open, who watches each, and how logs get into them.

There are two ways into a feed. `deliver` takes the new events of logs as they arrive. A reading takes the log as it
stands, when a feed is opened or `reread`; afterwards the source delivers what follows. Knows no formats and no HTTP.
Viewers are handed in by `hub.py`; whether a log is still the one that viewers were shown: `feed_checks.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.write_queue import Writable, WriteQueue
from outlive.shared.errors import GenerationGone
from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.cursor import START, Cursor

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where new events come from: calls `Feeds.deliver` with those of the log keys it watches."""

    def watch(self, key: str, after: Cursor) -> None:
        """From now on, deliver this log's events after the cursor."""

    def forget(self, key: str) -> None:
        """Deliver no more of them."""


class Watcher(Writable, Protocol):
    """Watches a feed and counts as a viewer: a `Viewer`, or an `EndWaiter`."""

    @property
    def outcome(self) -> Ending:
        """Why it ended; `LEFT` until another reason is known."""

    def leave(self) -> None: ...
    def tick(self) -> None: ...
    def has_stalled(self, now: float, stall_s: float) -> bool: ...
    def cut(self, reason: Ending | None = None) -> None: ...
    def detach(self, *, has_stalled: bool = False) -> None: ...


class OpenFeed:
    """A feed, and what this process keeps about it. Written by `Feeds` alone."""

    def __init__(self, feed: Feed, key: str) -> None:
        self.feed = feed
        self.key = key
        """Of its log in Redis."""
        self.watchers: set[Watcher] = set()
        self.idle_since: float | None = None
        """When the last watcher left; None before that and while there is one."""
        self.reading: asyncio.Task[None] | None = None
        """The reading under way."""
        self.encoding = asyncio.Lock()
        """Held while the log is read to encode it in one more format, so that it is read once (`encode.py`)."""


class Feeds:
    """Iterates over the open feeds."""

    def __init__(self, reader: LogReader, source: Source, queue: WriteQueue, *, limit_bytes: int) -> None:
        """Watchers of a feed that changed are put in the queue. A feed holds up to `limit_bytes`."""
        self._reader = reader
        self._source = source
        self._queue = queue
        self._limit_bytes = limit_bytes
        self._by_generation: dict[str, OpenFeed] = {}
        self._receivers: dict[str, Callable[[Sequence[Logged]], int]] = {}
        """By log key: takes new events, returns how many viewers they are for."""
        self._watchers: dict[Watcher, OpenFeed] = {}
        """All there are, also those of feeds that have ended and are no longer open."""

    def __iter__(self) -> Iterator[OpenFeed]:
        return iter(list(self._by_generation.values()))

    def __len__(self) -> int:
        return len(self._by_generation)

    @property
    def watchers(self) -> Collection[Watcher]:
        return self._watchers.keys()

    def watchers_of(self, generation_id: str) -> int:
        opened = self._by_generation.get(generation_id)
        return len(opened.watchers) if opened else 0

    # Feeds open and close.

    def open(self, generation_id: str) -> OpenFeed:
        """The feed of this generation. If there was none, a reading of its log begins."""
        opened = self._by_generation.get(generation_id)
        if opened is None:
            key = self._reader.log_key(generation_id)
            opened = OpenFeed(Feed(generation_id, self._limit_bytes), key)
            self._by_generation[generation_id] = opened
            self._receivers[key] = partial(self._extend, opened)
            self._begin_reading(opened)
        return opened

    def end(self, opened: OpenFeed, ending: Ending) -> None:
        """Its watchers' responses end, and the next viewer opens it anew."""
        opened.feed.close(ending)
        self._queue.add(opened.watchers)
        self.drop(opened)

    def drop(self, opened: OpenFeed) -> None:
        """It is no longer open here; the next viewer opens it anew."""
        if self._by_generation.get(opened.feed.generation_id) is opened:
            del self._by_generation[opened.feed.generation_id]
            self.forget(opened.key)

    def close(self) -> None:
        """Cancel all readings, because the hub stops."""
        for opened in self._by_generation.values():
            if opened.reading is not None:
                opened.reading.cancel()

    # Watchers come and go.

    def add_watcher(self, opened: OpenFeed, watcher: Watcher) -> None:
        opened.watchers.add(watcher)
        opened.idle_since = None
        self._watchers[watcher] = opened

    def remove_watcher(self, watcher: Watcher, now: float) -> bool:
        """False if it was removed before. The feed stays warm for a while (`idle_feeds.py`)."""
        opened = self._watchers.pop(watcher, None)
        if opened is None:
            return False
        opened.watchers.discard(watcher)
        if not opened.watchers:
            opened.idle_since = now
        return True

    # Events arrive.

    def deliver(self, batches: Mapping[str, Sequence[Logged]]) -> int:
        """Take new events by log key. Returns how many viewers they are for."""
        count = 0
        for key, events in batches.items():
            receive = self._receivers.get(key)
            if receive is not None:
                count += receive(events)
        return count

    def listen(self, key: str, after: Cursor, listener: Writable) -> None:
        """Watch one more key, which is not a generation's. When it has events, the listener joins the queue behind
        all viewers that are behind by then."""
        self._receivers[key] = partial(self._call, listener)
        self._source.watch(key, after)

    def forget(self, key: str) -> None:
        """Take no more events of this key."""
        self._receivers.pop(key, None)
        self._source.forget(key)

    def _extend(self, opened: OpenFeed, events: Sequence[Logged]) -> int:
        feed = opened.feed
        if feed.ending is not None:
            return 0
        if not feed.extend(events):
            self.reread(opened)
            return 0
        self._queue.add(opened.watchers)
        if feed.ending is not None:
            self._source.forget(opened.key)
        return len(opened.watchers)

    def _call(self, listener: Writable, _events: Sequence[Logged]) -> int:
        # Later, because viewers of logs delivered with this one may still join the queue.
        asyncio.get_running_loop().call_soon(self._queue.add, (listener,))
        return 0

    # Logs are read.

    async def wait_until_read(self, opened: OpenFeed) -> None:
        """Until no reading is under way. Raises what the reading raised: `GenerationGone`, `LogUnavailable`."""
        if opened.reading is not None:
            await asyncio.shield(opened.reading)

    def reread(self, opened: OpenFeed) -> None:
        """The log is not the one that viewers were shown: read it again from its start, and reset them."""
        log.warning(
            "the log lost events that were shown; viewers are reset", extra={"generation": opened.feed.generation_id}
        )
        self._source.forget(opened.key)
        opened.feed.restart()
        self._begin_reading(opened)

    def _begin_reading(self, opened: OpenFeed) -> None:
        # One reading for all viewers that come meanwhile: a reconnect storm costs Redis one read.
        opened.reading = asyncio.create_task(self._read(opened), name=f"read {opened.feed.generation_id}")
        opened.reading.add_done_callback(partial(self._after_reading, opened))

    async def _read(self, opened: OpenFeed) -> None:
        feed = opened.feed
        async for events in self._reader.pages(feed.generation_id):
            feed.extend(events)
        if feed.last == START:
            raise GenerationGone
        if feed.ending is None:
            self._source.watch(opened.key, feed.last)
        self._queue.add(opened.watchers)

    def _after_reading(self, opened: OpenFeed, reading: asyncio.Task[None]) -> None:
        if opened.reading is reading:
            opened.reading = None
        if reading.cancelled() or reading.exception() is not None:
            self.end(opened, Ending.AWAY)
