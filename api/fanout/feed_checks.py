"""Owns the regular comparison of open feeds with their logs, and the end of those that cannot be read.

Messages are hints: the last one before a log falls quiet may be lost, and no message says that a log expired or that a
failover took its tail. So feeds of which no message came since the last comparison are compared with their logs. A
process that cannot read Redis for long sends its viewers away here. Knows no viewers.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.loop_clock import Clock
from outlive.api.fanout.open_feed import OpenFeed
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import LogReader

_AWAY_S: Final = 5.0
"""After this long without Redis viewers are sent away: another replica may reach it."""
_MAX_INTERVAL_S: Final = 5.0
_POLL_S: Final = 1.0
"""While channels do not speak to us, logs are read this often."""
_MAX_LOGS: Final = 256
"""In one call: Redis compares as many in about half a millisecond."""


class FeedChecks:
    """`run` compares until cancelled."""

    def __init__(self, reader: LogReader, metrics: ApiMetrics, feeds: Feeds, *, heal_s: float, clock: Clock) -> None:
        """Compared as often as a log that lacks events must be looked at to wait no longer than `heal_s` for it."""
        self._reader = reader
        self._metrics = metrics
        self._feeds = feeds
        self._interval_s = min(_MAX_INTERVAL_S, heal_s)
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. With Redis away the comparison is left to the next time."""
        compared_at = self._clock.time()
        while True:
            await self._clock.sleep(min(_POLL_S, self._interval_s))
            now = self._clock.time()
            self.send_away(now)
            self.poll()
            if now - compared_at >= self._interval_s:
                compared_at = now
                await self.compare()

    def send_away(self, now: float) -> None:
        """End the feeds whose log could not be read for long, though it had to be."""
        for opened in self._feeds:
            if opened.unread_since is not None and now - opened.unread_since > _AWAY_S:
                self._feeds.end(opened, Ending.AWAY)

    def poll(self) -> None:
        """Read the logs whose channels do not speak to us."""
        for opened in self._feeds:
            if not opened.is_subscribed:
                self._feeds.request(opened)

    async def compare(self) -> None:
        """Compare every quiet feed that is not being read just now. Those that differ from their log are read."""
        groups: dict[str, list[OpenFeed]] = {}
        lag = 0
        for opened in self._feeds:
            feed = opened.feed
            lag = max(lag, feed.lag(opened.newest))
            compared, opened.compared = opened.compared, (feed.incarnation, feed.end)
            if opened.takes_events and opened.unread_since is None and compared == opened.compared:
                groups.setdefault(self._reader.group_of(feed.generation_id), []).append(opened)
        self._metrics.lagged(lag)
        await asyncio.gather(*map(self._compare_group, groups.values()))

    async def _compare_group(self, quiet: Sequence[OpenFeed]) -> None:
        for begin in range(0, len(quiet), _MAX_LOGS):
            part = quiet[begin : begin + _MAX_LOGS]
            with suppress(LogUnavailable):
                differing = await self._reader.differing([(each.feed.generation_id, each.feed.last) for each in part])
                for opened in part:
                    if opened.feed.generation_id in differing:
                        self._feeds.request(opened)
                    else:
                        opened.missing_since = None
