"""Owns reporting to Redis how many viewers this process has: what changed, at most once a second, and that it lives.

One pipeline a second, however many viewers come and go. A count that did not change is repeated about once a minute;
that this process lives is said every five seconds, in as few words as there are partitions. Decides nothing about
viewers; the hub counts them.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from outlive.api.fanout.loop_clock import Clock, LoopClock
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.viewer_counts import COUNT_EXPIRY_S, EXPIRY_S, ViewerCounts
from outlive.shared.store.keyspace import partition_of

_REPORT_EVERY_S: Final = 1.0
_ALIVE_EVERY_S: Final = EXPIRY_S / 3
_REPEAT_S: Final = COUNT_EXPIRY_S / 3


class ViewerReporter:
    """`run` owns the rhythm."""

    def __init__(
        self, viewer_counts: ViewerCounts, counts: Callable[[], Mapping[str, int]], clock: Clock | None = None
    ) -> None:
        """`counts` gives the viewers on this process, by generation id."""
        self._viewer_counts = viewer_counts
        self._counts = counts
        self._clock = clock or LoopClock()
        self._reported: dict[str, tuple[int, float]] = {}
        """Generation id -> the count reported last, and when to repeat it. Holds no zeros."""
        self._alive_in: set[int] = set()
        """The partitions in which it is known that this process lives."""
        self._alive_at = float("-inf")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_REPORT_EVERY_S)
            with suppress(LogUnavailable):
                await self.report(self._clock.time())

    async def report(self, now: float) -> None:
        """Report what is due. Raises `LogUnavailable`: then the next report brings it again."""
        counts = self._counts()
        changed = {key: count for key, count in counts.items() if self._is_due(key, count, now)}
        changed |= {key: 0 for key in self._reported if key not in counts}
        await self._stay_alive(counts, changed, now)
        if not changed:
            return
        refused = await self._viewer_counts.tell(changed)
        for generation_id, count in changed.items():
            if generation_id in refused:
                continue
            if count:
                # Thousands of viewers that came together must not be repeated together for ever.
                self._reported[generation_id] = (count, now + _REPEAT_S * random.uniform(0.5, 1))
            else:
                self._reported.pop(generation_id, None)

    async def _stay_alive(self, counts: Mapping[str, int], changed: Mapping[str, int], now: float) -> None:
        """A count is believed only where its process is known to live, so in a new partition that comes first."""
        if now - self._alive_at > _ALIVE_EVERY_S:
            partitions = {partition_of(generation_id) for generation_id in counts}
            if partitions:
                await self._viewer_counts.stay_alive(partitions)
            self._alive_in, self._alive_at = partitions, now
        elif new := {partition_of(each) for each, count in changed.items() if count} - self._alive_in:
            await self._viewer_counts.stay_alive(new)
            self._alive_in |= new

    def _is_due(self, generation_id: str, count: int, now: float) -> bool:
        reported = self._reported.get(generation_id)
        return reported is None or reported[0] != count or now > reported[1]
