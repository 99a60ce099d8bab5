"""Owns the SSE response of a route: headers and HEAD are sse-starlette's, frames are the hub's.

sse-starlette gives each response four tasks and a cancel scope a write, which costs more than the
write itself. Here a response is over for ASGI once its headers are sent: the connection becomes the
viewer's (`connection.py`), and frames, heartbeats and shutdown reach it through the hub.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from outlive.api.fanout.hub import Hub
from outlive.api.fanout.sink import nobody
from outlive.api.fanout.viewer import Viewer
from outlive.api.formats.format import Format, ResumePoint
from outlive.api.formats.native import NATIVE
from outlive.api.transport.connection import take_over
from outlive.shared.errors import GenerationGone, LogUnavailable

_HEADERS: Final = {"Cache-Control": "no-store, no-transform"}


class EventsResponse(EventSourceResponse):
    """The events of one generation after a cursor."""

    def __init__(
        self,
        hub: Hub,
        generation_id: str,
        *,
        after: ResumePoint,
        wire: Format,
        headers: Mapping[str, str] | None = None,
        on_left: Callable[[], None] = nobody,
        leave: Callable[[], None] = nobody,
    ) -> None:
        """`on_left` is called when the viewer leaves before it was told everything; `leave` once,
        however the response ends."""
        super().__init__(_nothing(), headers={**_HEADERS, **(headers or {})}, sep="\n")
        # The base class says keep-alive; this connection carries nothing else any more.
        self.headers["Connection"] = "close"
        self._hub = hub
        self._generation_id = generation_id
        self._after = after
        self._wire = wire
        self._on_left = on_left
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            self._leave()
            await super().__call__(scope, receive, send)
            return
        try:
            await self._begin(scope, send)
        except BaseException:
            self._leave()
            raise

    async def _begin(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        hub, connection = self._hub, take_over(scope)
        if connection.is_lost:
            self._leave()
            self._on_left()
            return
        # At once, so that proxies and clients see an open stream before there is an event.
        connection.write(self._wire.opening(hub.retry_s()))
        try:
            viewer = await hub.attach(self._generation_id, self._after, connection, self._wire)
        except (LogUnavailable, GenerationGone):
            self._leave()
            if not connection.is_lost:
                connection.end(self._wire.farewell(hub.retry_s()))
            return
        connection.on_lost = lambda has_stalled: self._lost(viewer, has_stalled=has_stalled)
        if connection.is_lost:
            self._lost(viewer)

    def _lost(self, viewer: Viewer, *, has_stalled: bool = False) -> None:
        self._leave()
        if not viewer.ended:
            self._on_left()
        self._hub.detach(viewer, has_stalled=has_stalled)


class AwayResponse(EventSourceResponse):
    """Come back soon: native EventSource gives up for ever on any status but 200."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(_nothing(), headers=_HEADERS, sep="\n")
        self._retry = NATIVE.farewell(hub.retry_s())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"" if scope["method"] == "HEAD" else self._retry
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _nothing() -> AsyncIterator[bytes]:
    """The base class wants a body; ours comes from the feed."""
    return
    yield b""
