"""Owns the HTTP surface of Responses: create, retrieve, go on, cancel, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from outlive.api.auth.credentials import Caller
from outlive.api.formats.format import FrameNumber, Head
from outlive.api.generations import end
from outlive.api.http.callers import Tenant
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.services import Provided, Services
from outlive.api.wires.openai.openai_callers import MayCancel, MayRetrieve
from outlive.api.wires.openai.openai_ids import RESPONSE, generation_of, headers_of, named
from outlive.api.wires.openai.openai_requests import AnswerRequest
from outlive.api.wires.openai.openai_route import OpenAiRoute, failed, unfinished
from outlive.api.wires.responses.input_items import Messages
from outlive.api.wires.responses.previous_response import conversation
from outlive.api.wires.responses.responses_format import RESPONSES, SHARED, unasked
from outlive.api.wires.responses.responses_request import chat_of, echo_of
from outlive.api.wires.responses.responses_translator import ResponsesTranslator
from outlive.shared.errors import BadRequest, GenerationGone, GenerationNotFound, PayloadTooLarge
from outlive.shared.model.codec import decode_json, encode_json

# OpenAI's own document says what these are; ours would only say it again.
router = APIRouter(route_class=OpenAiRoute, include_in_schema=False)

_PATH = "/v1/responses/{name}"


@router.post("/v1/responses")
async def create(request: Request, services: Provided, tenant: Tenant) -> Response:
    """Ask; be told as it comes, when it is whole, or at once that it is under way."""
    body = await read_object(request)
    former = await _former(services, tenant, body.get("previous_response_id"))
    chat = chat_of(body, former)
    if former and len(encode_json(chat["messages"])) > services.settings.max_body_bytes:
        # Each request alone may be small, and the conversation grow without end.
        raise PayloadTooLarge("The conversation is larger than this server accepts.")
    asker = AnswerRequest(request, services, tenant)
    generation_id = await asker.make(chat, echo_of(body))
    if body.get("stream"):
        return asker.tell(generation_id, RESPONSES)
    if body.get("background"):
        return _shown(generation_id, await _told(services, generation_id))
    if (left := await asker.wait(generation_id)) is not None:
        return left
    told = await _told(services, generation_id)
    if told.failed is not None:
        raise failed(generation_id, told.failed)
    if told.response["status"] in ("queued", "in_progress"):
        raise unfinished(generation_id)
    return _shown(generation_id, told)


@router.get(_PATH)
async def retrieve(
    name: str,
    request: Request,
    services: Provided,
    caller: MayRetrieve,
    stream: Annotated[bool, Query()] = False,
    starting_after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> Response:
    """The response so far, or its events after a number, and then each new one as it happens."""
    generation_id = generation_of(name)
    await services.looks.meta(generation_id, caller.tenant)
    if not stream:
        return _shown(generation_id, await _told(services, generation_id, caller))
    last = starting_after if last_event_id is None else last_event_id
    after = FrameNumber(0 if last is None else last + 1)
    wire = RESPONSES if caller.generation_id is None else SHARED
    return AnswerRequest(request, services, caller.tenant, caller.may_cancel).watch(generation_id, wire, after)


@router.post(f"{_PATH}/cancel")
async def cancel(name: str, services: Provided, caller: MayCancel) -> Response:
    """Stop it. What has ended already stays as it ended."""
    generation_id = generation_of(name)
    await services.reader.meta(generation_id, caller.tenant)
    await services.tasks.finish(end.cancel(services, generation_id))
    return _shown(generation_id, await _told(services, generation_id, caller))


@router.delete(_PATH)
async def delete(name: str, services: Provided, tenant: Tenant) -> Response:
    """Stop it if need be, and forget it."""
    generation_id = generation_of(name)
    meta = await services.reader.meta(generation_id, tenant)
    await services.tasks.finish(end.delete(services, generation_id, tenant, meta))
    return Json({"id": named(RESPONSE, generation_id), "object": "response", "deleted": True})


async def _former(services: Services, tenant: str, name: Any) -> Messages:
    """The conversation a response follows. Raises `BadRequest`."""
    if name is None:
        return []
    if not isinstance(name, str):
        raise BadRequest("`previous_response_id` must be a string.", param="previous_response_id")
    try:
        generation_id = generation_of(name)
        meta = await services.reader.meta(generation_id, tenant)
        request, _ = await services.reader.asked(generation_id)
        told = await _told(services, generation_id)
    except (GenerationNotFound, GenerationGone) as error:
        raise BadRequest(
            "The previous response is not known here, or not any more.", param="previous_response_id"
        ) from error
    if not meta.is_closed:
        raise BadRequest("The previous response has not ended yet.", param="previous_response_id")
    return conversation(decode_json(request), told.response["output"])


async def _told(services: Services, generation_id: str, caller: Caller | None = None) -> ResponsesTranslator:
    """The whole log, told to its tenant or to `caller`. Raises `GenerationGone`, `LogUnavailable`."""
    head = Head(*await services.reader.asked(generation_id))
    translator = ResponsesTranslator(head if caller is None or caller.generation_id is None else unasked(head))
    async for page in services.reader.pages(generation_id):
        for event in page:
            translator.translate(event)
    return translator


def _shown(generation_id: str, told: ResponsesTranslator) -> Response:
    return Json(told.response, headers=headers_of(generation_id))
