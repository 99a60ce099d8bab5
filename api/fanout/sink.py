"""Owns the noun for where one viewer's response goes, and the sink that writes to an ASGI `send`.

Knows nothing of feeds. A sink takes bytes without waiting. When it is full, its viewer stays behind as a position, and
nothing is queued. The sink of SSE responses is `api/transport/connection.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from starlette.types import Send

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes bytes, in order, until `end` or `cut`."""

    is_full: bool
    """Write nothing now; `on_room` is called when the sink takes bytes again."""
    on_room: Callable[[], None]
    """Never called from within `write` or `end`."""

    def write(self, data: bytes) -> None:
        """Take all of it, though the sink may be full afterwards. What is written to a lost connection is dropped."""

    def end(self, data: bytes) -> None:
        """Take the last bytes, then end the response cleanly."""

    def cut(self) -> None:
        """End the response at once, without the bytes that still wait."""

    def has_stalled(self, now: float, stall_s: float) -> bool:
        """Whether bytes have waited here for so long and none of them was accepted. To be asked regularly, with the
        event loop's time."""


def nobody() -> None:
    """The callback until there is a listener."""


class SendSink:
    """An ASGI `send`: what a WebSocket has. It is full while one call is under way, so there is never a second."""

    def __init__(self, send: Send, cut: Callable[[], None] = nobody) -> None:
        """`cut` ends the connection at once, which ASGI cannot."""
        self.is_full = False
        self.on_room: Callable[[], None] = nobody
        self._send = send
        self._cut = cut
        self._call: asyncio.Task[None] | None = None
        self._full_since: float | None = None
        self._is_cut = False

    def write(self, data: bytes) -> None:
        self._begin(data, more_body=True)

    def end(self, data: bytes) -> None:
        self._begin(data, more_body=False)

    def cut(self) -> None:
        self._is_cut = self.is_full = True
        self._cut()

    def has_stalled(self, now: float, stall_s: float) -> bool:
        if not self.is_full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        return self._full_since is not None and now - self._full_since > stall_s

    def _begin(self, data: bytes, *, more_body: bool) -> None:
        self.is_full = True
        self._call = asyncio.create_task(self._write(self._call, data, more_body=more_body))

    async def _write(self, former: asyncio.Task[None] | None, data: bytes, *, more_body: bool) -> None:
        if former is not None and not former.done():
            await asyncio.wait({former})
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more_body})
        except Exception:
            # It stays full, so that nothing more is written to it.
            log.warning("a viewer could not be written to", exc_info=True)
            return
        self._full_since = None
        if self._is_cut or self._call is not asyncio.current_task():
            return
        self.is_full = False
        self.on_room()
