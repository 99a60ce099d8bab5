"""Owns how code of the worker is told the time: a clock, or timers, handed in by the composition root.

Seconds of a clock that never jumps: the event loop's at work, one moved by hand in tests.
"""

from collections.abc import Callable
from typing import Any, Protocol

Clock = Callable[[], float]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None: ...


class Timers(Protocol):
    """A clock that also calls back. An event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], Any], /) -> Timer: ...
