"""Owns the clock of fan-out: what decides is given one as an argument, so that tests can move time themselves."""

import asyncio
from typing import Protocol


class Clock(Protocol):
    """Seconds, from any zero."""

    def time(self) -> float:
        """Now."""

    async def sleep(self, delay_s: float) -> None:
        """Until `delay_s` later."""


class LoopClock:
    """The running event loop's: monotonic, and the one that sinks are measured by."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
