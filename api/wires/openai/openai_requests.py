"""Owns what both OpenAI wires do with a request for an answer: create it, stream it, wait for it.

The answer is an ordinary generation. Headers name it, so that it can be watched and stopped on every wire.
When the viewer limits refuse a client, nothing is created: 429 `too_many_viewers`, or 503 `too_many_viewers`
if only this process is full. Both have `Retry-After`, and OpenAI's SDKs retry after both.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from starlette.types import Receive

from outlive.api.auth.credentials import Caller
from outlive.api.fanout.sink import nobody
from outlive.api.formats.format import Format, FrameNumber
from outlive.api.formats.native import NATIVE
from outlive.api.generations.describe import describe_beside
from outlive.api.generations.generations import Generations
from outlive.api.generations.watch import Ticket, Watch
from outlive.api.http.body_limit import release_body
from outlive.api.http.sse_response import EventsResponse
from outlive.api.services import ClientAddress, GenerationsDep, SettingsDep, WatchDep
from outlive.api.wires.openai.openai_ids import headers_of
from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import NewGeneration
from outlive.shared.settings import Settings

_ON_DISCONNECT: Final = "X-Outlive-On-Disconnect"
_CLIENT_LEFT: Final = 499
"""nginx's status for a client that has left; nobody reads it."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One request, with everything needed to serve it."""

    request: Request
    settings: Settings
    generations: Generations
    watch: Watch
    address: str

    async def create(self, tenant: str, body: dict[str, Any], echo: dict[str, Any] | None = None) -> str:
        """A generation of this body that this client does not watch; its id. Raises `BadRequest` and what
        `Generations.create` raises."""
        new = await self._describe(tenant, body, echo)
        await self.generations.create(new)
        return new.id

    async def create_streamed(
        self, tenant: str, body: dict[str, Any], shape: Format, echo: dict[str, Any] | None = None
    ) -> Response:
        """A generation of this body, as it comes. Raises `BadRequest` and what `Watch.create` raises."""
        cancels = self._cancels_on_disconnect()
        _, ticket = await self.watch.create(await self._describe(tenant, body, echo), shape, self.address)
        return self._stream(ticket, cancels=cancels)

    async def create_whole(
        self, tenant: str, body: dict[str, Any], echo: dict[str, Any] | None = None
    ) -> tuple[str, Response | None]:
        """The id of a generation of this body, when it has ended; a response if the client left before. Empties
        `body`. Raises `BadRequest` and what `Watch.create` raises."""
        cancels = self._cancels_on_disconnect()
        ticket = (await self.watch.create(await self._describe(tenant, body, echo), NATIVE, self.address))[1]
        # The client may wait for minutes, and the log has the request.
        body.clear()
        release_body(self.request.scope)
        return ticket.generation_id, await self._wait(ticket, cancels=cancels)

    async def stream(
        self, caller: Caller, generation_id: str, shape: Format, after: FrameNumber | str | None
    ) -> Response:
        """The rest of an answer, as it comes. Raises `BadRequest` and what `Watch.open` raises."""
        cancels = caller.may_cancel and self._cancels_on_disconnect()
        ticket = await self.watch.open(caller, generation_id, after, shape, self.address)
        return Response(status_code=204) if ticket is None else self._stream(ticket, cancels=cancels)

    async def wait(self, caller: Caller, generation_id: str) -> Response | None:
        """Until an answer has ended; a response if the client left before. Raises `BadRequest` and what
        `Watch.open` raises."""
        cancels = caller.may_cancel and self._cancels_on_disconnect()
        ticket = await self.watch.open(caller, generation_id, None, NATIVE, self.address)
        return None if ticket is None else await self._wait(ticket, cancels=cancels)

    async def _describe(self, tenant: str, body: dict[str, Any], echo: dict[str, Any] | None) -> NewGeneration:
        headers = self.request.headers
        key, traceparent = headers.get("idempotency-key"), headers.get("traceparent")
        return await describe_beside(body, key, tenant, self.settings, traceparent, echo=echo)

    def _cancels_on_disconnect(self) -> bool:
        """Whether the client wants the answer cancelled when it leaves. Raises `BadRequest`."""
        wish = self.request.headers.get(_ON_DISCONNECT, self.settings.on_disconnect)
        if wish not in ("continue", "cancel"):
            raise BadRequest(f"The header {_ON_DISCONNECT} must be `continue` or `cancel`.", param=_ON_DISCONNECT)
        return wish == "cancel"

    def _stream(self, ticket: Ticket, *, cancels: bool) -> Response:
        on_left = self._on_left(ticket.generation_id, cancels=cancels)
        return EventsResponse(ticket, headers=headers_of(ticket.generation_id), on_left=on_left)

    async def _wait(self, ticket: Ticket, *, cancels: bool) -> Response | None:
        ending = asyncio.ensure_future(ticket.wait_for_end())
        left = asyncio.ensure_future(_left(self.request.receive))
        try:
            await asyncio.wait([ending, left], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                # Raises what the wait raised. How the answer ended is in the log, which the caller reads.
                ending.result()
                return None
        finally:
            ending.cancel()
            left.cancel()
        self._on_left(ticket.generation_id, cancels=cancels)()
        return Response(status_code=_CLIENT_LEFT)

    def _on_left(self, generation_id: str, *, cancels: bool) -> Callable[[], None]:
        return partial(self.generations.cancel_later, generation_id) if cancels else nobody


# A coroutine function although it waits for nothing: FastAPI calls other functions in a thread.
async def _answer_request(
    request: Request, settings: SettingsDep, generations: GenerationsDep, watch: WatchDep, address: ClientAddress
) -> AnswerRequest:
    return AnswerRequest(request, settings, generations, watch, address)


AnswerRequestDep = Annotated[AnswerRequest, Depends(_answer_request)]


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
