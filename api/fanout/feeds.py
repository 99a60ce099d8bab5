"""Owns the feeds of this process: which are open, who watches each, and how logs get into them.

There are two ways into a feed. `deliver` takes the messages that logs push. A reading (`catch_up.py`) takes what the
log holds beyond the feed: when the feed is opened, when its channel begins to speak, and when a message does not
continue it. Knows no formats and no HTTP. Viewers are handed in by `hub.py`; what is lost silently: `feed_checks.py`.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from outlive.api.fanout.catch_up import CatchUp
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed, Taken
from outlive.api.fanout.loop_clock import Clock
from outlive.api.fanout.open_feed import OpenFeed, Watcher
from outlive.api.fanout.write_queue import Writable, WriteQueue
from outlive.shared.errors import GenerationGone, LogUnavailable, OutliveError
from outlive.shared.log.messages import UNREADABLE, parse
from outlive.shared.log.reader import LogReader

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where messages come from: calls `Feeds.deliver` with those of the log keys it watches, `Feeds.subscribed` when a
    key's channel begins to speak, and `Feeds.unsubscribed` when it does no longer."""

    def watch(self, key: str) -> bool:
        """Deliver this log's messages. False if that will not begin soon."""

    def forget(self, key: str) -> None:
        """Deliver no more of them."""


class Feeds:
    """Iterates over the open feeds."""

    def __init__(
        self, reader: LogReader, source: Source, queue: WriteQueue, *, limit_bytes: int, heal_s: float, clock: Clock
    ) -> None:
        """Watchers of a feed that changed are put in the queue. A feed holds up to `limit_bytes`. A log that lacks
        events is waited for `heal_s`: its worker may be about to write them again."""
        self._reader = reader
        self._source = source
        self._queue = queue
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._catch_up = CatchUp(reader, self, heal_s=heal_s, clock=clock)
        self._by_generation: dict[str, OpenFeed] = {}
        self._by_key: dict[str, OpenFeed] = {}
        self._listeners: dict[str, Writable] = {}
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
            self._by_generation[generation_id] = self._by_key[key] = opened
            # First the channel, then the log: what is written between the two is not missed.
            if not self._source.watch(key):
                self._catch_up.request(opened)
        return opened

    async def wait_until_read(self, opened: OpenFeed) -> None:
        """Until all of the log is in the feed. Raises `GenerationGone` and `LogUnavailable` if it cannot be read."""
        await opened.read.wait()
        if opened.failure is not None:
            raise opened.failure

    def end(self, opened: OpenFeed, ending: Ending, failure: OutliveError | None = None) -> None:
        """Its watchers' responses end, and the next viewer opens it anew. Viewers that still wait for it to be read
        get the failure."""
        if not opened.read.is_set():
            opened.failure = failure or (GenerationGone() if ending is Ending.GONE else LogUnavailable())
            opened.read.set()
        opened.feed.close(ending)
        self._queue.add(opened.watchers)
        self.drop(opened)

    def drop(self, opened: OpenFeed) -> None:
        """It is no longer open here; the next viewer opens it anew."""
        if opened.is_open:
            opened.is_open = False
            del self._by_generation[opened.feed.generation_id], self._by_key[opened.key]
            self._source.forget(opened.key)

    def close(self) -> None:
        """Cancel all readings, because the hub stops."""
        self._catch_up.close()

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

    # Messages arrive.

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> int:
        """Take messages, each with its log key. Returns how many viewers they are for."""
        grown: dict[OpenFeed, None] = {}
        for key, payload in messages:
            opened = self._by_key.get(key)
            if opened is not None:
                if self._take(opened, payload):
                    grown[opened] = None
            elif (listener := self._listeners.get(key)) is not None:
                # Later, because viewers of logs delivered with this one may still join the queue.
                asyncio.get_running_loop().call_soon(self._queue.add, (listener,))
        # After all messages: several of one log cost each of its viewers one write.
        for opened in grown:
            self.grew(opened)
        return sum(len(opened.watchers) for opened in grown)

    def subscribed(self, key: str) -> None:
        """From now on this key's channel speaks: read what was written before."""
        opened = self._by_key.get(key)
        if opened is not None:
            opened.is_subscribed = True
            self._catch_up.request(opened)

    def unsubscribed(self, key: str) -> None:
        """This key's channel does not speak for now."""
        opened = self._by_key.get(key)
        if opened is not None:
            opened.is_subscribed = False
            if opened.unread_since is None:
                opened.unread_since = self._clock.time()

    def listen(self, key: str, listener: Writable) -> None:
        """Watch one more key, which is not a generation's. At its messages the listener joins the queue behind all
        viewers that are behind by then."""
        self._listeners[key] = listener
        self._source.watch(key)

    def forget(self, key: str) -> None:
        """Take no more messages of a key that is listened to."""
        self._listeners.pop(key, None)
        self._source.forget(key)

    def _take(self, opened: OpenFeed, payload: bytes) -> bool:
        message = parse(payload)
        taken = opened.feed.take(message)
        if taken is Taken.NEW:
            opened.caught_up()
        elif taken is Taken.HOLE:
            if message is not UNREADABLE:
                opened.newest = max(opened.newest, message.last)
            self._catch_up.request(opened)
        return taken is Taken.NEW

    # Logs are read.

    def request(self, opened: OpenFeed) -> None:
        """Read what the log has beyond the feed."""
        self._catch_up.request(opened)

    def doubt(self, opened: OpenFeed) -> None:
        """A viewer came that has seen more than the feed holds. Perhaps the last message was lost, which nothing else
        shows before the next comparison; or a failover lost the feed's terminal, and the log went on: then the next
        viewer opens it anew."""
        if opened.feed.ending is None:
            self._catch_up.request(opened)
        else:
            self.drop(opened)

    def grew(self, opened: OpenFeed) -> None:
        """It has more events, or its end."""
        self._queue.add(opened.watchers)
        if opened.feed.ending is not None:
            self._source.forget(opened.key)

    def reread(self, opened: OpenFeed) -> None:
        """The log is not the one that viewers were shown: read it again from its start, and reset them."""
        if not opened.takes_events:
            return
        log.warning(
            "the log lost events that were shown; viewers are reset", extra={"generation": opened.feed.generation_id}
        )
        opened.read.clear()
        opened.missing_since = None
        opened.feed.restart()
        self._catch_up.request(opened)
