"""Owns how long a provider may send nothing: a timeout that each piece of the answer starts anew.

It has one timer, which fires when the first wait could be over, and then when the latest one could: a provider sends
fifty pieces a second, and a timer of the loop for each costs more than reading it.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

from outlive.worker.timers import Timer, Timers

_NEVER: Final = float("inf")


class IdleTimeout:
    """Wraps what is waited for, as `asyncio.timeout` does: when a wait is over, it cancels what is inside and raises
    `TimeoutError`."""

    def __init__(self, timers: Timers, within_s: float) -> None:
        """`within_s`: the first wait, which begins on entering."""
        self._timers = timers
        self.within_s = within_s
        """The wait that runs, or ran last."""
        self._due = _NEVER
        self._check_due = _NEVER
        self._timer: Timer | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.restart(self.within_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def restart(self, within_s: float) -> None:
        """The next piece must come within this time."""
        self.within_s = within_s
        self._due = self._timers.time() + within_s
        if self._due < self._check_due:
            self._check_at(self._due)

    def extend(self) -> None:
        """Something came that is not a piece, so the provider is alive: the same wait begins anew."""
        if self._due != _NEVER:
            self._due = self._timers.time() + self.within_s

    def pause(self) -> None:
        """Nothing is waited for, until `restart`."""
        self._due = _NEVER

    def expired(self) -> bool:
        """Whether the `TimeoutError` is ours."""
        return self._timeout.expired()

    def _check_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._check_due = when
        self._timer = self._timers.call_at(when, self._check)

    def _check(self) -> None:
        now = self._timers.time()
        if self._due <= now:
            self._timeout.reschedule(0.0)
        else:
            # The next wait after a pause cannot be over sooner than this.
            self._check_at(min(self._due, now + self.within_s))
