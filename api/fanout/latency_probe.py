"""Owns the measurement of how late events reach viewers of this process, about once a second.

An event of a log that belongs to no generation is appended, comes back on that log's channel as all others do, and
goes through the queue of viewers to be written to. The time between is what every viewer here waits: for an append,
Redis, the pace of listening, and this process's other work. It costs the same with one viewer as with a thousand.
Without viewers nothing is measured.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from outlive.api.fanout.hub import Hub
from outlive.api.fanout.loop_clock import Clock, LoopClock
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.probe import ProbeLog

_EVERY_S: Final = 1.0
_LOST_S: Final = 30.0
"""An event that has not come back by then was lost by Redis, and the next one is sent."""


class LatencyProbe:
    """`run` owns the rhythm."""

    def __init__(
        self, probe_log: ProbeLog, hub: Hub, came_back: Callable[[float], None], clock: Clock | None = None
    ) -> None:
        """`came_back` is called with the seconds an event took."""
        self._log = probe_log
        self._hub = hub
        self._came_back = came_back
        self._clock = clock or LoopClock()
        self._number = 0
        self._sent_at: float | None = None
        self._is_listening = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_EVERY_S * random.uniform(0.75, 1.25))
            await self._measure(self._clock.time())

    async def _measure(self, now: float) -> None:
        if bool(self._hub.watched().viewers) != self._is_listening:
            self._is_listening = not self._is_listening
            if self._is_listening:
                # The first event is for the next round: one sent before Redis has the subscription would never come.
                self._hub.listen(self._log.key, self)
            else:
                self._hub.forget(self._log.key)
                self._sent_at = None
        elif self._is_listening and (self._sent_at is None or now - self._sent_at > _LOST_S):
            await self._send(now)

    async def _send(self, now: float) -> None:
        self._number += 1
        self._sent_at = now
        with suppress(LogUnavailable):
            await self._log.write(self._number)

    def advance(self) -> None:
        """The event came back, and the viewers that were behind when it was read have been written to."""
        if self._sent_at is not None:
            self._came_back(self._clock.time() - self._sent_at)
            self._sent_at = None
