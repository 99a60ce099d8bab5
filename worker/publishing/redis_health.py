"""Owns what this process knows of Redis: there, away, silent, or back for less than half a lease.

Knows nothing of generations, and asks nothing itself: `publisher.py` asks, and says how it went.
"""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

log = logging.getLogger(__name__)

_RETRY_FIRST_S: Final = 0.05
_RETRY_MOST_S: Final = 1.0
_RETRY_MOST_LEASES: Final = 1 / 6
"""Nobody takes over before half a lease after Redis came back, and by then we must have noticed."""
_RETRY_DOUBLINGS: Final = 5


class RedisHealth:
    """Of one log plane. Leases are renewed by its clock."""

    def __init__(self, lease_s: float, *, is_spread: bool) -> None:
        """`is_spread`: over nodes, whose silences are judged one by one, elsewhere."""
        self._lease_s = lease_s
        self._is_spread = is_spread
        self._retry_most_s = min(_RETRY_MOST_S, lease_s * _RETRY_MOST_LEASES)
        self._there = asyncio.Event()
        self._there.set()
        self._alarm = asyncio.Event()
        """Something failed: ask again soon."""
        self._failures = 0
        self._asked_at: float | None = None
        """Since when the present renewal waits for its answer."""
        self._back_at = float("-inf")

    @property
    def is_settling(self) -> bool:
        """Away, or back for less than half a lease: others' leases may not be renewed yet."""
        away = not self._there.is_set() or self._is_silent
        return away or asyncio.get_running_loop().time() < self._back_at + self._lease_s / 2

    @property
    def _is_silent(self) -> bool:
        """Without a failure, yet for longer than a renewal may be late: a server that hangs or loads, or
        the client's own repetitions."""
        if self._asked_at is None or self._is_spread:
            return False
        return asyncio.get_running_loop().time() - self._asked_at > self._lease_s / 3

    async def there(self) -> None:
        """Wait until it is not away."""
        await self._there.wait()

    async def until_due(self) -> None:
        """Until the next renewal. A lease is renewed three times in its length, so two losses in a row are
        forgiven; after a failure sooner, backing off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lease_s / 3):
                await self._alarm.wait()
        if self._alarm.is_set():
            wait_s = min(_RETRY_FIRST_S * 2 ** min(self._failures, _RETRY_DOUBLINGS), self._retry_most_s)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around each renewal: how long it takes is how long nobody's was heard."""
        self._asked_at = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._asked_at = None

    def settle(self) -> None:
        """It is here since now. Also said by a worker that had to wait for it at its start: leases that ran
        out meanwhile may have owners that live."""
        self._back_at = asyncio.get_running_loop().time()

    def stumble(self) -> None:
        """A part of it refused."""
        self._failures += 1
        self._alarm.set()

    def lose(self) -> None:
        """All of it is away."""
        self.stumble()
        if self._there.is_set():
            log.warning("redis is away; attempts are kept, upstreams wait")
            self._there.clear()

    def find(self) -> None:
        """It has answered."""
        if self._is_silent:
            self.settle()
        if not self._there.is_set():
            log.warning("redis is back; what waited goes on")
            self.settle()
            self._there.set()

    def calm(self) -> None:
        """No part of it refuses any more."""
        if self._there.is_set():
            self._alarm.clear()

    def accept(self) -> None:
        """An event was written. Only that ends the backoff: a full Redis renews leases and refuses events."""
        self._failures = 0
