"""Owns saying in Redis how many viewers this process has: what changed, at most once a second.

One pipeline a turn however many viewers come and go. What did not change is said again before the
others stop believing it. Decides nothing about viewers; the hub counts them.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.viewer_counts import EXPIRY_S, ViewerCounts

_TELL_EVERY_S: Final = 1.0
_AGAIN_S: Final = EXPIRY_S / 3


class PresenceTeller:
    """`run` owns the telling."""

    def __init__(self, presence: ViewerCounts, counts: Callable[[], Mapping[str, int]]) -> None:
        self._presence = presence
        self._counts = counts
        self._told: dict[str, tuple[int, float]] = {}
        """Generation id -> the count told last, and when. Holds nothing that is at zero."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            with suppress(LogUnavailable):
                await self._tell(asyncio.get_running_loop().time())

    async def _tell(self, now: float) -> None:
        counts = self._counts()
        changed = {
            generation_id: count
            for generation_id, count in counts.items()
            if (told := self._told.get(generation_id)) is None or told[0] != count or now - told[1] > _AGAIN_S
        } | {generation_id: 0 for generation_id in self._told if generation_id not in counts}
        if changed:
            await self._presence.tell(changed)
        for generation_id, count in changed.items():
            if count:
                self._told[generation_id] = (count, now)
            else:
                self._told.pop(generation_id, None)
