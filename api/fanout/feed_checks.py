"""Owns the regular comparison of open feeds with their logs, and with whether Redis can be read at all.

A tail that a failover lost, or a log that expired or was deleted, wakes no read: only meta shows it. A process that
cannot read Redis for long sends its viewers away here. Knows no viewers.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.feeds import Feeds, OpenFeed
from outlive.api.fanout.loop_clock import Clock
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import LogReader
from outlive.shared.model.generation import Meta
from outlive.shared.store.connect import BLOCK_S

_AWAY_S: Final = 5.0
"""After this long without Redis viewers are sent away: another replica may reach it."""


class FeedChecks:
    """`run` compares until cancelled."""

    def __init__(
        self,
        reader: LogReader,
        away_since: Callable[[str], float | None],
        metrics: ApiMetrics,
        feeds: Feeds,
        *,
        heal_s: float,
        clock: Clock,
    ) -> None:
        """`away_since` gives, by log key, the clock's time since when Redis has not answered. A log that lacks events
        is waited for `heal_s`: its worker may be about to write them again."""
        self._reader = reader
        self._away_since = away_since
        self._metrics = metrics
        self._feeds = feeds
        self._heal_s = heal_s
        self._clock = clock
        self._soon = asyncio.Event()
        self._missing_since: dict[Feed, float] = {}
        """Feeds whose last event is not in the log, and since when."""

    def check_soon(self) -> None:
        """Do not wait for the next time."""
        self._soon.set()

    async def run(self) -> None:
        """Until cancelled. With Redis away the comparison is left to the next time."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(BLOCK_S, self._heal_s)):
                    await self._soon.wait()
            self._soon.clear()
            self.send_away(self._clock.time())
            with suppress(LogUnavailable):
                await self.check()

    def send_away(self, now: float) -> None:
        """End the feeds whose Redis has not answered for long."""
        for opened in self._feeds:
            away_since = self._away_since(opened.key)
            if away_since is not None and now - away_since > _AWAY_S:
                self._feeds.end(opened, Ending.AWAY)

    async def check(self) -> None:
        """Compare every feed that is not being read just now. Raises `LogUnavailable`."""
        checked = [opened for opened in self._feeds if opened.feed.ending is None and opened.reading is None]
        replies = await self._reader.metas_at([(opened.feed.generation_id, opened.feed.last) for opened in checked])
        states = list(zip(checked, replies, strict=True))
        lags = [opened.feed.lag(meta.last) for opened, (meta, _) in states if isinstance(meta, Meta)]
        self._metrics.lagged(max(lags, default=0))
        now = self._clock.time()
        former, self._missing_since = self._missing_since, {}
        for opened, (meta, has_last) in states:
            self._reconcile(opened, meta, has_last=has_last, missing_since=former.get(opened.feed), now=now)

    def _reconcile(
        self, opened: OpenFeed, meta: Meta | str | None, *, has_last: bool, missing_since: float | None, now: float
    ) -> None:
        if not isinstance(meta, Meta):
            self._feeds.end(opened, Ending.GONE)
            return
        if has_last:
            return
        will_not_heal = meta.is_closed or meta.last.epoch > opened.feed.last.epoch
        if will_not_heal or (missing_since is not None and now - missing_since > self._heal_s):
            self._feeds.reread(opened)
        else:
            self._missing_since[opened.feed] = now if missing_since is None else missing_since
