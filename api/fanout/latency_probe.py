"""Owns the question how late events reach viewers of this process, asked about once a second.

An event of nobody's is appended and comes back through the one reader, and stands in the queue of
viewers to be written to. The time between is what every viewer here waits for an append, Redis, the
reader's pace and this process's other work included; and asking costs the same with one viewer as
with a thousand. With nobody watching nothing is asked.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from outlive.api.fanout.hub import Hub
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.probe import ProbeLog
from outlive.shared.model.cursor import START

_EVERY_S: Final = 1.0
_LOST_S: Final = 30.0
"""Then it comes back no more: Redis has lost it, and the next one is sent."""


class LatencyProbe:
    """`run` owns the asking."""

    def __init__(self, probe_log: ProbeLog, hub: Hub, came_back: Callable[[float], None]) -> None:
        """`came_back` is told the seconds it took."""
        self._log = probe_log
        self._hub = hub
        self._came_back = came_back
        self._number = 0
        self._sent_at: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        is_listening = False
        while True:
            await asyncio.sleep(_EVERY_S * random.uniform(0.75, 1.25))
            if bool(self._hub.watched().viewers) != is_listening:
                is_listening = not is_listening
                if is_listening:
                    self._hub.listen(self._log.key, START, self)
                else:
                    self._hub.forget(self._log.key)
                    self._sent_at = None
            if is_listening and (self._sent_at is None or loop.time() - self._sent_at > _LOST_S):
                await self._send(loop.time())

    async def _send(self, now: float) -> None:
        self._number += 1
        self._sent_at = now
        with suppress(LogUnavailable):
            await self._log.write(self._number)

    def advance(self) -> None:
        """It came back, and its turn has come: whoever was behind when it was read has been written to."""
        if self._sent_at is not None:
            self._came_back(asyncio.get_running_loop().time() - self._sent_at)
            self._sent_at = None
