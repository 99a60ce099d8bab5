"""Owns one request that waits for a log's end and reads nothing of it meanwhile (`Hub.wait_for_end`).

It keeps its feed open and counts as a viewer, as a viewer in `viewer.py` does. Writes nothing, so it cannot stall.
"""

import asyncio

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feed import Feed


class EndWaiter:
    """Ends when the feed does, or when the process drains."""

    def __init__(self, feed: Feed) -> None:
        self.outcome = Ending.LEFT
        self._feed = feed
        self._is_over = asyncio.Event()

    async def wait(self) -> Ending:
        """Until the end; the reason for it."""
        await self._is_over.wait()
        return self.outcome

    def advance(self) -> None:
        """The feed has changed."""
        if self._feed.ending is not None:
            self._end(self._feed.ending)

    def leave(self) -> None:
        """The process drains."""
        self._end(Ending.DRAINED)

    def tick(self) -> None:
        """Needs no heartbeat."""

    def has_stalled(self, now: float, stall_s: float) -> bool:
        return False

    def cut(self, reason: Ending | None = None) -> None:
        self._end(reason or Ending.DRAINED)

    def detach(self, *, has_stalled: bool = False) -> None:
        """Its request has ended."""

    def _end(self, outcome: Ending) -> None:
        if not self._is_over.is_set():
            self.outcome = outcome
            self._is_over.set()
