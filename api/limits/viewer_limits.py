"""Owns how many viewers may watch at once: on this process, one generation, and from one address.

Pure. A viewer counts from `acquire` until it is released, on whichever route it came. Knows nothing
of what viewers are sent.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from outlive.shared.errors import ProcessFull, TooManyViewers

_RETRY_AFTER_S: Final = 10
_RETRY_ELSEWHERE_S: Final = 1
"""When only this process is full: the next request usually reaches another one."""

Release = Callable[[], None]


class ViewerLimits:
    """One per process."""

    def __init__(self, *, per_process: int, per_generation: int, per_address: int | None) -> None:
        """Without `per_address`, viewers are not counted by their address."""
        self._max_viewers = per_process
        self._max_per_generation = per_generation
        self._max_per_address = per_address
        self._viewers = 0
        self._by_generation: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()

    def check_process(self) -> None:
        """Raises `ProcessFull` when another viewer has to go to another process."""
        if self._viewers >= self._max_viewers:
            raise ProcessFull(retry_after_s=_RETRY_ELSEWHERE_S)

    def acquire(self, generation_id: str, address: str) -> Release:
        """Count one more viewer until the returned function is called, the first time. Raises
        `ProcessFull` and `TooManyViewers`."""
        self.check_process()
        if self._by_generation[generation_id] >= self._max_per_generation:
            raise TooManyViewers(retry_after_s=_RETRY_AFTER_S)
        if self._max_per_address is not None and self._by_address[address] >= self._max_per_address:
            raise TooManyViewers(retry_after_s=_RETRY_AFTER_S)
        self._count(generation_id, address, 1)
        is_released = False

        def release() -> None:
            nonlocal is_released
            if not is_released:
                is_released = True
                self._count(generation_id, address, -1)

        return release

    def _count(self, generation_id: str, address: str, change: int) -> None:
        self._viewers += change
        _add(self._by_generation, generation_id, change)
        if self._max_per_address is not None:
            _add(self._by_address, address, change)


def _add(counts: Counter[str], key: str, change: int) -> None:
    counts[key] += change
    # Otherwise the counter would keep every generation and every address for ever.
    if not counts[key]:
        del counts[key]
