"""Owns how long a provider may say nothing: a clock that is wound up by what it says.

One timer that looks when the first wait could be over, and again when the latest could: a provider
speaks fifty times a second, and a timer of the loop for each word costs more than reading it.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

_NEVER: Final = float("inf")


class IdleTimeout:
    """Around what is waited for, as `asyncio.timeout` is: when a wait is over, what is inside is
    cancelled and `TimeoutError` raised."""

    def __init__(self, within_s: float) -> None:
        """The first wait."""
        self._loop = asyncio.get_running_loop()
        self._within_s = within_s
        self._due = _NEVER
        self._looks_at = _NEVER
        self._look_handle: asyncio.TimerHandle | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.wait(self._within_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._look_handle is not None:
            self._look_handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def wait(self, within_s: float) -> None:
        """The next word must come within this time."""
        self._within_s = within_s
        self._due = self._loop.time() + within_s
        if self._due < self._looks_at:
            self._look_at(self._due)

    def rest(self) -> None:
        """Nothing is waited for, until `wait`."""
        self._due = _NEVER

    def expired(self) -> bool:
        """Whether the `TimeoutError` is ours."""
        return self._timeout.expired()

    def _look_at(self, when: float) -> None:
        if self._look_handle is not None:
            self._look_handle.cancel()
        self._looks_at = when
        self._look_handle = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._due <= now:
            self._timeout.reschedule(now)
        else:
            # After a rest the next wait cannot be over sooner than this.
            self._look_at(min(self._due, now + self._within_s))
