"""Owns whether too much waits for a worker already, as one process knows it.

To ask costs a round trip of the first token. So while less than half of what may wait does, an answer serves
for a second, with what this process has let in since; nearer to the limit it is asked every time. Other
processes do the same, so together they may overshoot by what they let in within that second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

_LOOK_S: Final = 1.0


class QueueDepth:
    """One per process."""

    def __init__(self, waiting: Callable[[], Awaitable[int]], *, most: int) -> None:
        """`waiting` counts what nobody has claimed yet."""
        self._waiting = waiting
        self._most = most
        self._known = 0
        self._let_in = 0
        self._until = 0.0

    async def admits(self) -> bool:
        """Whether one more may wait, who is counted at once. Raises `LogUnavailable`."""
        now = asyncio.get_running_loop().time()
        if now >= self._until or 2 * self._known >= self._most:
            before = self._let_in
            # Who was let in during the look is not in the answer yet.
            self._known = await self._waiting() + self._let_in - before
            self._until = now + _LOOK_S
        if self._known >= self._most:
            return False
        self._known += 1
        self._let_in += 1
        return True
