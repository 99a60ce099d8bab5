"""Owns the SSE response of a route: headers and HEAD are sse-starlette's, frames are the hub's.

sse-starlette gives each response four tasks and a cancel scope a write, which costs more than the
write itself. Here a response is one task that waits for the viewer to leave; frames, heartbeats
and shutdown reach it through the hub, for all viewers together.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from api.hub import Hub
from shared.cursor import Cursor
from shared.errors import GenerationGone, LogUnavailable

_HEADERS: Final = {"Cache-Control": "no-store, no-transform"}


class EventsResponse(EventSourceResponse):
    """The events of one generation after a cursor."""

    def __init__(
        self, hub: Hub, generation_id: str, *, after: Cursor, fold: bool, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(_nothing(), headers={**_HEADERS, **(headers or {})}, sep="\n")
        self._hub = hub
        self._generation_id = generation_id
        self._after = after
        self._fold = fold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # At once, so that proxies and clients see an open stream before there is an event.
        retry = self._hub.retry_frame()
        await send({"type": "http.response.body", "body": retry, "more_body": True})
        try:
            viewer = await self._hub.attach(self._generation_id, self._after, send, fold=self._fold)
        except (LogUnavailable, GenerationGone):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._hub.detach(viewer)


class AwayResponse(EventSourceResponse):
    """Come back soon: native EventSource gives up for ever on any status but 200."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(_nothing(), headers=_HEADERS, sep="\n")
        self._retry = hub.retry_frame()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"" if scope["method"] == "HEAD" else self._retry
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _nothing() -> AsyncIterator[bytes]:
    """The base class wants a body; ours comes from the feed."""
    return
    yield b""
