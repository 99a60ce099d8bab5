"""Owns the HTTP surface of Chat Completions: one path to ask, one to go on."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from outlive.api.generations.snapshot import Reduction
from outlive.api.http.callers import Tenant
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.services import Provided, Services
from outlive.api.wires.chat.chat_completion import completion
from outlive.api.wires.chat.chat_format import CHAT, CHAT_WITH_USAGE
from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_callers import MayView, MayWatch
from outlive.api.wires.openai.openai_ids import generation_of, headers_of
from outlive.api.wires.openai.openai_requests import AnswerRequest
from outlive.api.wires.openai.openai_route import Failed, OpenAiRoute, failed, unfinished
from outlive.shared.errors import BadRequest
from outlive.shared.model.cursor import Cursor

# OpenAI's own document says what these are; ours would only say it again.
router = APIRouter(route_class=OpenAiRoute, include_in_schema=False)


@router.post("/v1/chat/completions")
async def create(request: Request, services: Provided, tenant: Tenant) -> Response:
    """Ask, and be told as it comes or when it is whole."""
    body = await read_object(request)
    if body.get("n") not in (None, 1):
        raise BadRequest("One request is one answer here: `n` can only be 1.", param="n")
    asker = AnswerRequest(request, services, tenant)
    # What was sent cannot be taken back on this wire, so a second attempt could not be told.
    generation_id = await asker.make({"on_interrupt": "fail"} | body)
    if body.get("stream"):
        return asker.tell(generation_id, CHAT_WITH_USAGE if _wants_usage(body) else CHAT)
    return await asker.wait(generation_id) or await _whole(services, tenant, generation_id)


@router.get("/v1/chat/completions/{name}/stream")
async def go_on(
    name: str,
    request: Request,
    services: Provided,
    caller: MayWatch,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[str | None, Query()] = None,
    include_usage: Annotated[bool, Query()] = False,
) -> Response:
    """The rest of an answer, from the last id seen."""
    generation_id = generation_of(name)
    cursor = Cursor.parse_resume(last_event_id or after)
    meta = await services.looks.meta(generation_id, caller.tenant)
    if meta.terminal is not None and cursor == meta.terminal:
        return Response(status_code=204)
    wire = CHAT_WITH_USAGE if include_usage else CHAT
    return AnswerRequest(request, services, caller.tenant, caller.may_cancel).watch(generation_id, wire, cursor)


@router.get("/v1/chat/completions/{name}")
async def retrieve(name: str, request: Request, services: Provided, caller: MayView) -> Response:
    """The whole answer, once it is that."""
    generation_id = generation_of(name)
    await services.looks.meta(generation_id, caller.tenant)
    waited = await AnswerRequest(request, services, caller.tenant, caller.may_cancel).wait(generation_id)
    return waited or await _whole(services, caller.tenant, generation_id)


async def _whole(services: Services, tenant: str, generation_id: str) -> Response:
    meta = await services.reader.meta(generation_id, tenant)
    reduction = Reduction()
    async for page in services.reader.pages(generation_id):
        reduction.add(page)
    reduced = reduction.result()
    if reduced["error"] is not None:
        raise failed(generation_id, reduced["error"])
    if reduced["status"] == "cancelled":
        raise Failed(generation_id, openai_errors.cancelled(), openai_errors.status_of("cancelled"))
    if reduced["status"] != "completed":
        raise unfinished(generation_id)
    body = completion(generation_id, meta.model, meta.created_at, reduced)
    return Json(body, headers=headers_of(generation_id))


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
