"""Owns the native wire: the log's own events, one frame each, or folded for who is behind.

What the frames look like is `native_sse.py`'s.
"""

from collections.abc import Sequence
from typing import Final

from outlive.api.formats import native_sse
from outlive.api.formats.format import Head
from outlive.shared.log.reader import Logged


class _Native:
    is_stateless = True
    is_over = False
    heartbeat = native_sse.HEARTBEAT

    def __init__(self, *, fold: bool) -> None:
        self._fold = fold

    def translator(self, head: Head) -> "_Native":
        return self

    def tell(self, event: Logged) -> tuple[bytes]:
        return (native_sse.frame(event),)

    def joined(self, events: Sequence[Logged], told: Sequence[bytes]) -> bytes:
        return native_sse.folded(events) if self._fold else b"".join(told)

    def opening(self, retry_s: float) -> bytes:
        return native_sse.retry(retry_s)

    def farewell(self, retry_s: float) -> bytes:
        return native_sse.retry(retry_s)

    def reset(self, reason: str) -> bytes:
        return native_sse.reset(reason)

    def lost(self, reason: str) -> bytes:
        return b""


NATIVE: Final = _Native(fold=True)
UNFOLDED: Final = _Native(fold=False)
