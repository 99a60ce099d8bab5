"""Owns what both of OpenAI's wires do with a request for an answer: make it, watch it, wait for it.

The answer is an ordinary generation; headers say which, so that it can be watched and stopped on
every wire.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from starlette.types import Receive

from outlive.api.fanout.sink import nobody
from outlive.api.formats.format import Format, ResumePoint
from outlive.api.generations import end
from outlive.api.generations.create import check_schema, described, make
from outlive.api.http.sse_response import EventsResponse
from outlive.api.services import Services
from outlive.api.wires.openai.openai_ids import headers_of
from outlive.api.wires.openai.openai_route import unfinished
from outlive.shared.errors import BadRequest, GenerationGone, LogUnavailable, TooManyViewers

_ON_DISCONNECT: Final = "X-Outlive-On-Disconnect"
_LEFT: Final = 499
"""nginx's word for a client that has left; nobody reads it."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One request for an answer. Raises what making a generation raises."""

    request: Request
    services: Services
    tenant: str
    may_cancel: bool = True
    """Whether who asks may stop the answer; then it may end with him."""

    async def make(self, body: dict[str, Any], echo: dict[str, Any] | None = None) -> str:
        """A generation of this body; its id."""
        self.stops_with_client()
        key = self.request.headers.get("idempotency-key")
        new = described(
            body, key, self.tenant, self.services.settings, self.request.headers.get("traceparent"), echo=echo
        )
        await check_schema(body)
        await self.services.tasks.finish(make(self.services, new))
        return new.id

    def tell(self, generation_id: str, wire: Format) -> Response:
        """The answer just made, as it comes. Who may not watch now must not ask for another one."""
        try:
            return self.watch(generation_id, wire)
        except TooManyViewers as error:
            raise unfinished(generation_id) from error

    def watch(self, generation_id: str, wire: Format, after: ResumePoint | None = None) -> Response:
        """The answer as it comes, from its beginning or after a point."""
        left = self._on_left(generation_id)
        headers = headers_of(generation_id)
        leave = self.services.crowd.enter(self.request, generation_id)
        point = wire.start if after is None else after
        return EventsResponse(
            self.services.hub, generation_id, after=point, wire=wire, headers=headers, on_left=left, leave=leave
        )

    async def wait(self, generation_id: str) -> Response | None:
        """Until it has ended; an answer nobody reads when the client has left before that."""
        ending = asyncio.ensure_future(self.services.hub.wait_for_end(generation_id))
        left = asyncio.ensure_future(_left(self.request.receive))
        try:
            await asyncio.wait([ending, left], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                # Raises what it raised. Why it ended: the log is asked by the caller.
                ending.result()
                return None
        finally:
            ending.cancel()
            left.cancel()
        self._on_left(generation_id)()
        return Response(status_code=_LEFT)

    def stops_with_client(self) -> bool:
        """Whether the answer shall be cancelled when its client leaves. Raises `BadRequest`."""
        wish = self.request.headers.get(_ON_DISCONNECT, self.services.settings.on_disconnect)
        if wish not in ("continue", "cancel"):
            raise BadRequest(f"{_ON_DISCONNECT} must be `continue` or `cancel`.", param=_ON_DISCONNECT)
        return wish == "cancel" and self.may_cancel

    def _on_left(self, generation_id: str) -> Callable[[], None]:
        if not self.stops_with_client():
            return nobody

        def cancel() -> None:
            self.services.tasks.begin(_cancel(self.services, generation_id))

        return cancel


async def _cancel(services: Services, generation_id: str) -> None:
    with suppress(GenerationGone, LogUnavailable):
        await end.cancel(services, generation_id)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
