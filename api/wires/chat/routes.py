"""Owns the HTTP routes of Chat Completions: create, resume, retrieve."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from outlive.api.generations.generations import Generations
from outlive.api.http.callers import Tenant
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.services import GenerationsDep
from outlive.api.wires.chat.chat_completion import completion
from outlive.api.wires.chat.chat_format import CHAT, CHAT_WITH_USAGE
from outlive.api.wires.chat.provider_parts import ProviderParts
from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_callers import MayView, MayWatch
from outlive.api.wires.openai.openai_ids import generation_of, headers_of
from outlive.api.wires.openai.openai_requests import AnswerRequestDep
from outlive.api.wires.openai.openai_route import AnswerNotComplete, OpenAiRoute, failed, unfinished
from outlive.shared.errors import BadRequest

# Not in our OpenAPI document: OpenAI's own describes these routes.
router = APIRouter(route_class=OpenAiRoute, include_in_schema=False)


@router.post("/v1/chat/completions")
async def create(
    request: Request, answer_request: AnswerRequestDep, generations: GenerationsDep, tenant: Tenant
) -> Response:
    """Ask for an answer, and get it as it comes or when it is whole."""
    body = await read_object(request)
    if body.get("n") not in (None, 1):
        raise BadRequest("`n` must be 1: one request makes one answer here. Send several requests instead.", param="n")
    # This wire cannot take back what was sent, so by default no second attempt follows one that sent something.
    body = {"on_interrupt": "fail"} | body
    if body.get("stream"):
        return await answer_request.create_streamed(tenant, body, CHAT_WITH_USAGE if _wants_usage(body) else CHAT)
    generation_id, if_left = await answer_request.create_whole(tenant, body)
    return if_left or await _whole(generations, tenant, generation_id)


@router.get("/v1/chat/completions/{name}/stream")
async def resume(
    name: str,
    answer_request: AnswerRequestDep,
    caller: MayWatch,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[str | None, Query()] = None,
    include_usage: Annotated[bool, Query()] = False,
) -> Response:
    """The rest of an answer, after the last id seen."""
    shape = CHAT_WITH_USAGE if include_usage else CHAT
    return await answer_request.stream(caller, generation_of(name), shape, last_event_id or after)


@router.get("/v1/chat/completions/{name}")
async def retrieve(
    name: str, answer_request: AnswerRequestDep, generations: GenerationsDep, caller: MayView
) -> Response:
    """The whole answer, when it has ended."""
    generation_id = generation_of(name)
    if_left = await answer_request.wait(caller, generation_id)
    return if_left or await _whole(generations, caller.tenant, generation_id)


async def _whole(generations: Generations, tenant: str, generation_id: str) -> Response:
    meta = await generations.meta(generation_id, tenant)
    answer = await generations.answer(generation_id)
    if answer["error"] is not None:
        raise failed(generation_id, answer["error"])
    if answer["status"] == "cancelled":
        raise AnswerNotComplete(generation_id, openai_errors.cancelled(), openai_errors.status_of("cancelled"))
    if answer["status"] != "completed":
        raise unfinished(generation_id)
    parts = ProviderParts()
    await generations.read_log(generation_id, parts.add)
    body = completion(generation_id, meta.model, meta.created_at, answer, parts)
    return Json(body, headers=headers_of(generation_id))


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
