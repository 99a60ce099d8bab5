"""Owns what this process keeps about an open feed, beside the events that it holds (`feed.py`).

Written by `feeds.py`, `catch_up.py` and `feed_checks.py` alone; does nothing itself.
"""

import asyncio
from typing import Protocol

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.write_queue import Writable
from outlive.shared.errors import OutliveError
from outlive.shared.model.cursor import START


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
    """A feed, who watches it, and how it stands to its log."""

    def __init__(self, feed: Feed, key: str) -> None:
        self.feed = feed
        self.key = key
        """Of its log in Redis, which is also its channel."""
        self.watchers: set[Watcher] = set()
        self.idle_since: float | None = None
        """When the last watcher left; None before that and while there is one."""
        self.encoding = asyncio.Lock()
        """Held while the log is read to encode it in one more format, so that it is read once (`encode.py`)."""
        self.is_open = True
        """Whether it is still the feed of its generation; nothing is read into it afterwards."""
        self.is_subscribed = False
        """Whether its channel speaks to us."""
        self.read = asyncio.Event()
        """Set while the log has been read to its end since the feed was opened or read again, and when it ended."""
        self.failure: OutliveError | None = None
        """Why it could not be read."""
        self.unread_since: float | None = None
        """Since when the log may have events that the feed lacks; None while there is no sign of that."""
        self.newest = START
        """The newest event that a message named, though the feed could not take it."""
        self.missing_since: float | None = None
        """Since when the log is known to lack the newest event held."""
        self.compared: tuple[int, int] | None = None
        """Incarnation and end of the feed at the last regular comparison."""

    @property
    def takes_events(self) -> bool:
        return self.is_open and self.feed.ending is None

    def caught_up(self) -> None:
        """The feed holds all that the log had a moment ago."""
        self.unread_since = self.missing_since = None
        self.read.set()
