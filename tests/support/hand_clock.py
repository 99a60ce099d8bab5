"""Owns time that tests move by hand: a clock with timers, in place of an event loop's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class HandTimer:
    """A call that is due later."""

    when: float
    callback: Callable[[], Any]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class HandClock:
    """Stands still until `advance`."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._timers: list[HandTimer] = []

    def time(self) -> float:
        """Seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], Any]) -> HandTimer:
        """Call back when `advance` reaches this time."""
        timer = HandTimer(when, callback)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and run the timers that are due in it, each at its own time."""
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer.when <= end and not timer.cancelled]:
            timer = min(due, key=lambda one: one.when)
            self._timers.remove(timer)
            self._now = max(self._now, timer.when)
            timer.callback()
        self._now = end
