"""Owns reporting to Redis how many viewers this process has: only changes, at most once a second.

One pipeline a second, however many viewers come and go. A count that did not change is repeated before the other
processes stop believing it. Decides nothing about viewers; the hub counts them.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from outlive.api.fanout.loop_clock import Clock, LoopClock
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.viewer_counts import EXPIRY_S, ViewerCounts

_REPORT_EVERY_S: Final = 1.0
_REPEAT_S: Final = EXPIRY_S / 3


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
        """Generation id -> the count reported last, and when. Holds no zeros."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_REPORT_EVERY_S)
            with suppress(LogUnavailable):
                await self._report(self._clock.time())

    async def _report(self, now: float) -> None:
        counts = self._counts()
        changed = {key: count for key, count in counts.items() if self._is_due(key, count, now)}
        changed |= {key: 0 for key in self._reported if key not in counts}
        if changed:
            await self._viewer_counts.tell(changed)
        for generation_id, count in changed.items():
            if count:
                self._reported[generation_id] = (count, now)
            else:
                self._reported.pop(generation_id, None)

    def _is_due(self, generation_id: str, count: int, now: float) -> bool:
        reported = self._reported.get(generation_id)
        return reported is None or reported[0] != count or now - reported[1] > _REPEAT_S
