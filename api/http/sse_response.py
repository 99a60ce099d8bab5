"""Owns the SSE response of a viewer, from its headers to its end.

sse-starlette says which headers an event stream needs (media type, caching, `X-Accel-Buffering`); they are
taken from its response class once, at import. Its streaming is not used: it runs four tasks for each
response and a cancel scope for each write, which cost more than the write. Here a response is over for ASGI
when its headers are sent. Then the connection belongs to the viewer (`transport/connection.py`), and frames,
heartbeats and shutdown reach it through the hub.
"""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import Response
from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from outlive.api.fanout.sink import nobody
from outlive.api.formats.native import NATIVE
from outlive.api.generations.watch import Ticket
from outlive.api.transport.connection import take_over
from outlive.shared.errors import GenerationGone, LogUnavailable

_HEADERS: Final = dict(EventSourceResponse(iter(()), headers={"Cache-Control": "no-store, no-transform"}).headers)


class EventsResponse(Response):
    """The events of one ticket."""

    def __init__(
        self, ticket: Ticket, *, headers: Mapping[str, str] | None = None, on_left: Callable[[], None] = nobody
    ) -> None:
        """`on_left` is called when the viewer leaves before it got everything."""
        # Not by the base class, which would announce a body of 0 bytes.
        self.status_code, self.background = 200, None
        # `close`: no other request will use this connection.
        self.init_headers({**_HEADERS, "connection": "close", **(headers or {})})
        self._ticket = ticket
        self._on_left = on_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._begin(scope, send)
        except BaseException:
            self._ticket.detach()
            raise

    async def _begin(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        ticket, connection = self._ticket, take_over(scope)
        if connection.is_lost:
            self._end()
            return
        connection.write(ticket.opening())
        try:
            await ticket.attach(connection)
        except (LogUnavailable, GenerationGone):
            if not connection.is_lost:
                connection.end(ticket.farewell())
            return
        connection.on_lost = self._end
        if connection.is_lost:
            self._end()

    def _end(self, has_stalled: bool = False) -> None:
        if not self._ticket.detach(has_stalled=has_stalled):
            self._on_left()


def come_back(retry_s: float) -> Response:
    """A stream that ends at once and says when to reconnect. Not an error status, because after any of those a
    native EventSource does not reconnect."""
    return Response(NATIVE.farewell(retry_s), headers=_HEADERS)
