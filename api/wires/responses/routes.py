"""Owns the HTTP routes of Responses: create, retrieve, resume, cancel, delete."""

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Header, Query, Request, Response

from outlive.api.auth.credentials import Caller
from outlive.api.formats.format import FrameNumber, Head
from outlive.api.generations.generations import Generations
from outlive.api.http.callers import Tenant
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.services import GenerationsDep, SettingsDep
from outlive.api.wires.openai.openai_callers import MayCancel, MayRetrieve
from outlive.api.wires.openai.openai_ids import RESPONSE, generation_of, headers_of, named
from outlive.api.wires.openai.openai_requests import AnswerRequestDep
from outlive.api.wires.openai.openai_route import OpenAiRoute, failed, unfinished
from outlive.api.wires.responses.input_items import Messages
from outlive.api.wires.responses.previous_response import conversation
from outlive.api.wires.responses.responses_format import RESPONSES, SHARED, unasked
from outlive.api.wires.responses.responses_request import chat_of, echo_of
from outlive.api.wires.responses.responses_translator import ResponsesTranslator
from outlive.shared.errors import BadRequest, GenerationGone, GenerationNotFound, PayloadTooLarge
from outlive.shared.model.codec import decode_json, encode_json

# Not in our OpenAPI document: OpenAI's own describes these routes.
from outlive.shared.settings import Settings
from outlive.shared.upstreams import chosen

router = APIRouter(route_class=OpenAiRoute, include_in_schema=False)

_PATH: Final = "/v1/responses/{name}"


@router.post("/v1/responses")
async def create(
    request: Request,
    answer_request: AnswerRequestDep,
    generations: GenerationsDep,
    settings: SettingsDep,
    tenant: Tenant,
) -> Response:
    """Ask for an answer, and get it as it comes, when it is whole, or only its state at once."""
    body = await read_object(request)
    earlier = await _earlier_messages(generations, tenant, body.get("previous_response_id"))
    chat = chat_of(body, earlier, for_openai=_is_for_openai(body, settings))
    if earlier and len(encode_json(chat["messages"])) > settings.max_body_bytes:
        # Each request may be small, while the conversation grows without end.
        raise PayloadTooLarge(
            f"This request with the conversation it follows is larger than {settings.max_body_bytes} bytes. "
            "Start a new conversation."
        )
    echo, is_streamed, is_background = echo_of(body), body.get("stream"), body.get("background")
    # `create_whole` waits long, and drops `chat`.
    del body, earlier
    if is_streamed:
        return await answer_request.create_streamed(tenant, chat, RESPONSES, echo)
    if is_background:
        generation_id = await answer_request.create(tenant, chat, echo)
        return _response(generation_id, await _translated(generations, generation_id))
    generation_id, if_left = await answer_request.create_whole(tenant, chat, echo)
    if if_left is not None:
        return if_left
    translator = await _translated(generations, generation_id)
    if translator.failed is not None:
        raise failed(generation_id, translator.failed)
    if translator.response["status"] in ("queued", "in_progress"):
        raise unfinished(generation_id)
    return _response(generation_id, translator)


@router.get(_PATH)
async def retrieve(
    name: str,
    answer_request: AnswerRequestDep,
    generations: GenerationsDep,
    caller: MayRetrieve,
    stream: Annotated[bool, Query()] = False,
    starting_after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> Response:
    """The response so far; or as a stream, its events after a number, then each new one as it happens."""
    generation_id = generation_of(name)
    if stream:
        last = starting_after if last_event_id is None else last_event_id
        shape = RESPONSES if caller.generation_id is None else SHARED
        return await answer_request.stream(caller, generation_id, shape, FrameNumber(0 if last is None else last + 1))
    await generations.meta(generation_id, caller.tenant)
    return _response(generation_id, await _translated(generations, generation_id, caller))


@router.post(f"{_PATH}/cancel")
async def cancel(name: str, generations: GenerationsDep, caller: MayCancel) -> Response:
    """Stop it. An answer that has ended stays as it is."""
    generation_id = generation_of(name)
    await generations.cancel(generation_id, caller.tenant)
    return _response(generation_id, await _translated(generations, generation_id, caller))


@router.delete(_PATH)
async def delete(name: str, generations: GenerationsDep, tenant: Tenant) -> Response:
    """Stop it if it runs, and delete its answer."""
    generation_id = generation_of(name)
    await generations.delete(generation_id, tenant)
    return Json({"id": named(RESPONSE, generation_id), "object": "response", "deleted": True})


async def _earlier_messages(generations: Generations, tenant: str, name: Any) -> Messages:
    """The conversation up to the end of the response that this one follows. Raises `BadRequest`."""
    if name is None:
        return []
    if not isinstance(name, str):
        raise BadRequest("`previous_response_id` must be a string.", param="previous_response_id")
    try:
        generation_id = generation_of(name)
        meta = await generations.meta(generation_id, tenant)
        request, _ = await generations.request(generation_id)
        translator = await _translated(generations, generation_id)
    except (GenerationNotFound, GenerationGone) as error:
        raise BadRequest(
            "The response named in `previous_response_id` does not exist, or its retention has passed. Send the "
            "conversation in `input` instead.",
            param="previous_response_id",
        ) from error
    if not meta.is_closed:
        raise BadRequest(
            "The response named in `previous_response_id` has not ended yet. Wait for its end, or cancel it.",
            param="previous_response_id",
        )
    return conversation(decode_json(request), translator.response["output"])


async def _translated(
    generations: Generations, generation_id: str, caller: Caller | None = None
) -> ResponsesTranslator:
    """The whole log as a response, for its tenant or for `caller`. Raises `GenerationGone`, `LogUnavailable`."""
    head = Head(*await generations.request(generation_id))
    translator = ResponsesTranslator(head if caller is None or caller.generation_id is None else unasked(head))
    await generations.read_log(generation_id, translator.translate)
    return translator


def _response(generation_id: str, translator: ResponsesTranslator) -> Response:
    return Json(translator.response, headers=headers_of(generation_id))


def _is_for_openai(body: dict[str, Any], settings: Settings) -> bool:
    """Whether the request goes to OpenAI's own servers, or to Azure's. Raises `ModelNotFound`."""
    name = chosen(settings.providers, str(body.get("model", "")), body.get("upstream"))
    host = urlsplit(settings.providers[name].base_url or "https://api.openai.com").hostname or ""
    return host.endswith(("openai.com", "openai.azure.com", "services.ai.azure.com"))
