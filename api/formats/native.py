"""Owns the native format: the log's own events, one frame each, or folded for viewers that are behind.

The bytes of frames are in `native_sse.py`.
"""

from collections.abc import Sequence
from typing import Final

from outlive.api.formats import native_sse
from outlive.api.formats.format import Head
from outlive.api.formats.resume_points import ResumedByCursor
from outlive.shared.log.reader import Logged


class _Native(ResumedByCursor):
    is_stateless = True
    is_over = False
    heartbeat = native_sse.HEARTBEAT

    def __init__(self, *, fold: bool) -> None:
        self._fold = fold

    def translator(self, head: Head) -> "_Native":
        return self

    def translate(self, event: Logged) -> tuple[bytes]:
        return (native_sse.frame(event),)

    def join(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        return native_sse.folded(events) if self._fold else b"".join(frames)

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
