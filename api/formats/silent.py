"""Owns the wire that tells nothing: for who waits for the end alone, and reads the log then."""

from collections.abc import Sequence
from typing import Final

from outlive.api.formats.format import Head
from outlive.shared.log.reader import Logged


class _Silent:
    is_stateless = True
    is_over = False
    heartbeat = b""

    def translator(self, head: Head) -> "_Silent":
        return self

    def tell(self, event: Logged) -> tuple[()]:
        return ()

    def joined(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        return b""

    def opening(self, retry_s: float) -> bytes:
        return b""

    def farewell(self, retry_s: float) -> bytes:
        return b""

    def reset(self, reason: str) -> bytes:
        return b""

    def lost(self, reason: str) -> bytes:
        return b""


SILENT: Final = _Silent()
