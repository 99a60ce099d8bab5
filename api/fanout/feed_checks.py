"""Owns the regular look at what watched logs say of themselves.

A tail that a failover lost, a log that has expired or was deleted: none of that wakes a read, it is found only
in meta. And who cannot read Redis for long learns here that others may. Knows no viewers.
"""

import asyncio
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Final

from outlive.api.fanout.feed import Ending, Feed
from outlive.api.fanout.tail_readers import TailReaders
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import LogReader
from outlive.shared.model.generation import Meta
from outlive.shared.store.connect import BLOCK_S

_AWAY_S: Final = 5.0
"""After this long without Redis viewers are sent away: another replica may reach it."""


class FeedChecks:
    """`run` looks until cancelled."""

    def __init__(
        self,
        reader: LogReader,
        tails: TailReaders,
        measures: ApiMetrics,
        feeds: Mapping[str, Feed],
        filling: Container[str],
        *,
        end: Callable[[Feed, Ending], None],
        restart: Callable[[Feed], None],
        heal_s: float,
    ) -> None:
        """`feeds` by generation, of which those in `filling` are being read just now. A log that is not what
        was shown is waited for `heal_s`: its worker may be about to write again what was lost."""
        self._reader = reader
        self._tails = tails
        self._measures = measures
        self._feeds = feeds
        self._filling = filling
        self._end = end
        self._restart = restart
        self._heal_s = heal_s
        self._now = asyncio.Event()

    def soon(self) -> None:
        """Do not wait for the next time."""
        self._now.set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(BLOCK_S, self._heal_s)):
                    await self._now.wait()
            self._now.clear()
            self._send_away()
            with suppress(LogUnavailable):
                await self._look()

    def _send_away(self) -> None:
        now = asyncio.get_running_loop().time()
        for feed in list(self._feeds.values()):
            away_since = self._tails.away_since(self._reader.log_key(feed.generation_id))
            if away_since is not None and now - away_since > _AWAY_S:
                self._end(feed, Ending.AWAY)

    async def _look(self) -> None:
        feeds = [f for f in self._feeds.values() if f.ending is None and f.generation_id not in self._filling]
        looks = await self._reader.metas_at([(f.generation_id, f.last) for f in feeds])
        lags = [feed.lag(meta.last) for feed, (meta, _) in zip(feeds, looks, strict=True) if isinstance(meta, Meta)]
        self._measures.lagged(max(lags, default=0))
        now = asyncio.get_running_loop().time()
        for feed, (meta, has_last) in zip(feeds, looks, strict=True):
            self._judge(feed, meta, has_last=has_last, now=now)

    def _judge(self, feed: Feed, meta: Meta | str | None, *, has_last: bool, now: float) -> None:
        if not isinstance(meta, Meta):
            self._end(feed, Ending.GONE)
        elif has_last:
            feed.lost_since = None
        elif meta.is_closed or meta.last.epoch > feed.last.epoch:
            self._restart(feed)
        elif feed.lost_since is None:
            feed.lost_since = now
        elif now - feed.lost_since > self._heal_s:
            self._restart(feed)
