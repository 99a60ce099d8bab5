"""Owns whether too many generations wait for a worker already, as far as one process knows.

Counting them costs a round trip before the first token. So while less than half of the limit waits, one
count serves for a second, plus what this process has admitted since. Above half of the limit, every
request counts again. Several processes may together overshoot by what they admit within that second.
Reads no clock.
"""

from collections.abc import Awaitable, Callable
from typing import Final

_COUNT_VALID_S: Final = 1.0


class QueueDepth:
    """One per process."""

    def __init__(
        self, count_waiting: Callable[[], Awaitable[int]], *, max_waiting: int, clock: Callable[[], float]
    ) -> None:
        """`count_waiting` counts the deliveries that no worker has claimed; `clock` is monotonic, in seconds."""
        self._count_waiting = count_waiting
        self._max_waiting = max_waiting
        self._clock = clock
        self._waiting = 0
        self._admitted = 0
        self._valid_until = 0.0

    async def admits(self) -> bool:
        """Whether one more may wait; if so, it is counted at once. Raises `LogUnavailable`."""
        now = self._clock()
        if now >= self._valid_until or 2 * self._waiting >= self._max_waiting:
            before = self._admitted
            # The count does not contain what was admitted while it was under way.
            self._waiting = await self._count_waiting() + self._admitted - before
            self._valid_until = now + _COUNT_VALID_S
        if self._waiting >= self._max_waiting:
            return False
        self._waiting += 1
        self._admitted += 1
        return True
