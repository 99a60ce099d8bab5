"""Owns the native wire: the log's own events, one frame each, or folded for who is behind.

What the frames look like is `frames.py`'s.
"""

from collections.abc import Sequence
from typing import Final

from outlive.api import frames
from outlive.api.wires.wire import Head
from outlive.shared.log.reader import Logged


class _Native:
    is_stateless = True
    is_over = False
    heartbeat = frames.HEARTBEAT

    def __init__(self, *, fold: bool) -> None:
        self._fold = fold

    def translator(self, head: Head) -> "_Native":
        return self

    def tell(self, event: Logged) -> tuple[bytes]:
        return (frames.frame(event),)

    def joined(self, events: Sequence[Logged], told: Sequence[bytes]) -> bytes:
        return frames.folded(events) if self._fold else b"".join(told)

    def opening(self, retry_s: float) -> bytes:
        return frames.retry(retry_s)

    def farewell(self, retry_s: float) -> bytes:
        return frames.retry(retry_s)

    def reset(self, reason: str) -> bytes:
        return frames.reset(reason)

    def lost(self, reason: str) -> bytes:
        return b""


NATIVE: Final = _Native(fold=True)
UNFOLDED: Final = _Native(fold=False)
