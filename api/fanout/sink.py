"""Owns the word for where one viewer's response goes, and the one that is an ASGI `send`.

Knows nothing of feeds. A sink takes bytes without waiting; when it is full, its viewer stays
behind as a position, and nothing is queued for it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from starlette.types import Message, Send

from outlive.api.fanout import eager_start

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Bytes in, in order, until `end` or `cut`."""

    is_full: bool
    """Write nothing now; `on_room` is called when that is over."""
    on_room: Callable[[], None]

    def write(self, data: bytes) -> None: ...

    def end(self, data: bytes) -> None:
        """The last bytes, then the clean end of the response."""

    def cut(self) -> None:
        """The end at once, without what has not been sent."""

    def has_stalled(self, now: float, stall_s: float) -> bool:
        """Whether for this long nothing was accepted of what waits here. To be asked regularly."""


def nobody() -> None:
    """Until a viewer listens."""


class SendSink:
    """An ASGI `send`, one call under way at a time: what a WebSocket, or a test, has."""

    def __init__(self, send: Send, cut: Callable[[], None] = nobody) -> None:
        """`cut` ends the connection at once, which ASGI cannot."""
        self.is_full = False
        self.on_room: Callable[[], None] = nobody
        self._send = send
        self._cut = cut
        self._tasks: set[asyncio.Task[None]] = set()
        self._since: float | None = None
        self._is_cut = False

    def write(self, data: bytes) -> None:
        self._start(self._write({"type": "http.response.body", "body": data, "more_body": True}))

    def end(self, data: bytes) -> None:
        self._start(self._write({"type": "http.response.body", "body": data, "more_body": False}))

    def cut(self) -> None:
        self._is_cut = self.is_full = True
        self._cut()

    def has_stalled(self, now: float, stall_s: float) -> bool:
        if not self.is_full:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since > stall_s

    def _start(self, coroutine: Coroutine[Any, None, None]) -> None:
        self.is_full = True
        eager_start.start(coroutine, self._tasks)

    async def _write(self, message: Message) -> None:
        try:
            await self._send(message)
        except Exception:
            # It stays full, so that nothing more is written to it.
            log.warning("a viewer could not be written to", exc_info=True)
            return
        self._since = None
        self.is_full = self._is_cut
        if not self.is_full:
            self.on_room()
