"""Owns what this process knows of the Redis server of one group: up, down, silent, or up for less than half a lease.

Knows nothing of generations and asks nothing itself: `publisher.py` asks, and reports here how it went.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from outlive.worker.timers import Clock

_RETRY_FIRST_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0
_RETRY_MAX_LEASES: Final = 1 / 6
"""No worker takes over before half a lease after Redis came back, and by then we must have noticed."""
_RETRY_DOUBLINGS: Final = 5
_CHECKS_PER_LEASE: Final = 20
"""How finely the return of a server is noticed by those that wait for it: leases that were renewed meanwhile are
then seen as renewed."""


class RedisHealth:
    """Of one group of logs. Its leases are renewed when `wait_until_due` says so."""

    def __init__(self, lease_s: float, clock: Clock, silent_s: Callable[[], float | None]) -> None:
        """`silent_s`: how long ago the client last waited in vain, even if a repetition succeeded; None: never,
        or it does not tell."""
        self._lease_s = lease_s
        self._clock = clock
        self._silent_s = silent_s
        self._retry_max_s = min(_RETRY_MAX_S, lease_s * _RETRY_MAX_LEASES)
        self._alarm = asyncio.Event()
        """Something failed: ask again soon."""
        self.is_up = True
        self._failures = 0
        self._asked_at: float | None = None
        """When the present renewal was sent; None while there is none."""
        self._back_at = float("-inf")

    @property
    def grace_s(self) -> float:
        """How long to wait before a lease here may be taken over: its owner could not renew it while the server was
        away, and gets half a lease to do so. Ask again afterwards; 0 when nothing is to be waited for."""
        if not self.is_up or self._is_silent:
            return self._lease_s / _CHECKS_PER_LEASE
        silent_s = self._silent_s()
        back_s = self._clock() - self._back_at
        return max(0.0, self._lease_s / 2 - (back_s if silent_s is None else min(back_s, silent_s)))

    @property
    def _is_silent(self) -> bool:
        """It has not failed, but has not replied for longer than a renewal may be late: the server hangs or loads,
        or the client repeats by itself."""
        return self._asked_at is not None and self._clock() - self._asked_at > self._lease_s / 3

    async def wait_until_due(self) -> None:
        """Until the next renewal. A lease is renewed three times in its length, so two losses in a row are
        forgiven; after a failure sooner, backing off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lease_s / 3):
                await self._alarm.wait()
        if self._alarm.is_set():
            await asyncio.sleep(self.retry_wait_s() * random.uniform(0.5, 1))

    def retry_wait_s(self) -> float:
        """The pause after a failure, before jitter."""
        doublings: int = min(self._failures, _RETRY_DOUBLINGS)
        return min(_RETRY_FIRST_S * float(2**doublings), self._retry_max_s)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Wrap each renewal: while it is in flight, no lease of ours here has been confirmed."""
        self._asked_at = self._clock()
        try:
            yield
        finally:
            self._asked_at = None

    def begin_grace(self) -> None:
        """The server is up since now. A worker that had to wait for it at its start says so too: leases that ran out
        meanwhile may have owners that live."""
        self._back_at = self._clock()

    def mark_down(self) -> None:
        """The server did not reply, or refused."""
        self._failures += 1
        self._alarm.set()
        self.is_up = False

    def mark_up(self) -> None:
        """The server replied to everything we asked."""
        if self._is_silent or not self.is_up:
            self.begin_grace()
        self.is_up = True

    def clear_alarm(self) -> None:
        """Renew at the usual pace again, unless the server is down."""
        if self.is_up:
            self._alarm.clear()

    def reset_backoff(self) -> None:
        """An event was written. Only that ends the backoff: a full Redis renews leases and refuses events."""
        self._failures = 0
