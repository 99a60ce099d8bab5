"""Owns the HTTP routes of generations: which path means which verb.

Decides nothing about logs. `problems.py` turns errors into responses, `sse_response.py` owns the streams.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import ValidationError

from outlive.api.formats.native import NATIVE, UNFOLDED
from outlive.api.generations.describe import describe_beside
from outlive.api.http import openapi
from outlive.api.http.callers import MayCancel, MayView, Tenant, viewer_of
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.http.ratelimit_headers import RateLimitedRoute
from outlive.api.http.sse_response import EventsResponse, come_back
from outlive.api.http.token_cookie import set_token_cookie
from outlive.api.schemas import (
    Created,
    Ended,
    MintedCookie,
    RightsName,
    StatusName,
    TokenRequest,
    Urls,
    Viewers,
    sentences,
)
from outlive.api.services import (
    AuthenticatorDep,
    ClientAddress,
    GenerationsDep,
    HubDep,
    SettingsDep,
    ShareTokensDep,
    WatchDep,
)
from outlive.shared.errors import BadRequest, IssuerUnavailable, LogUnavailable, ProcessFull
from outlive.shared.log.listing import ListPosition
from outlive.shared.model.generation import Status

router = APIRouter(route_class=RateLimitedRoute)

_PATH: Final = "/v1/generations"

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description=openapi.IDEMPOTENCY_KEY, json_schema_extra=openapi.KEY_LIKE),
]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description=openapi.LAST_EVENT_ID, json_schema_extra=openapi.CURSOR_LIKE),
]
After = Annotated[str | None, Query(description=openapi.AFTER, json_schema_extra=openapi.CURSOR_LIKE)]
Fold = Annotated[bool, Query(description=openapi.FOLD)]
Limit = Annotated[int, Query(ge=1, le=100, description=openapi.LIMIT)]
Before = Annotated[str | None, Query(description=openapi.BEFORE, json_schema_extra=openapi.POSITION_LIKE)]


@router.post(_PATH, tags=["generations"], status_code=201, responses=openapi.CREATE, openapi_extra=openapi.CREATE_BODY)
async def create(
    request: Request,
    settings: SettingsDep,
    generations: GenerationsDep,
    watch: WatchDep,
    share_tokens: ShareTokensDep,
    address: ClientAddress,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask for an answer. It is made whether or not anybody watches."""
    body = await read_object(request)
    new = await describe_beside(body, idempotency_key, tenant, settings, request.headers.get("traceparent"))
    urls = _urls(new.id)
    headers = {"Location": urls["self"]}
    if _wants_events(request):
        _, ticket = await watch.create(new, NATIVE, address)
        return EventsResponse(ticket, headers=headers)
    creation = await generations.create(new)
    created = Created(
        id=new.id, status=Status(creation.status).value, model=new.model, created_at=creation.created_at, urls=urls
    )
    rights: RightsName | None = body.get("token")
    if rights is not None and share_tokens.are_needed:
        created["token"] = share_tokens.mint(new.id, tenant, rights)
    # Without a key nobody can have created it before: then EXISTING is the reply to our own repetition of a
    # command whose first reply was lost (R7).
    existed = idempotency_key is not None and not creation.is_new
    return Json(created, status_code=200 if existed else 201, headers=headers)


@router.get(_PATH, tags=["generations"], responses=openapi.LIST)
async def list_(
    generations: GenerationsDep,
    tenant: Tenant,
    status: StatusName | None = None,
    limit: Limit = 20,
    before: Before = None,
) -> Response:
    """The newest generations, without their answers."""
    position = ListPosition.parse(before) if before else None
    return Json(await generations.page(tenant, status=status, limit=limit, before=position))


@router.get(f"{_PATH}/{{generation_id}}", tags=["generations"], responses=openapi.SNAPSHOT)
async def snapshot(generation_id: str, generations: GenerationsDep, tenant: MayView) -> Response:
    """The answer so far, in one piece."""
    return Json(await generations.snapshot(generation_id, tenant))


@router.get(f"{_PATH}/{{generation_id}}/events", tags=["generations"], responses=openapi.EVENTS)
async def events(
    request: Request,
    generation_id: str,
    authenticator: AuthenticatorDep,
    watch: WatchDep,
    hub: HubDep,
    address: ClientAddress,
    last_event_id: LastEventId = None,
    after: After = None,
    fold: Fold = True,
) -> Response:
    """Watch: every event after the cursor, then each new one as it happens, to the end."""
    try:
        caller = await viewer_of(request, authenticator, generation_id)
        shape = NATIVE if fold else UNFOLDED
        ticket = await watch.open(caller, generation_id, last_event_id or after, shape, address)
    except (ProcessFull, LogUnavailable, IssuerUnavailable):
        return come_back(hub.retry_s())
    return Response(status_code=204) if ticket is None else EventsResponse(ticket)


@router.get(f"{_PATH}/{{generation_id}}/viewers", tags=["generations"], responses=openapi.VIEWERS)
async def viewers(generation_id: str, generations: GenerationsDep, tenant: MayView) -> Response:
    """How many watch now. Cheap enough to be polled."""
    return Json(Viewers(viewers=await generations.viewers(generation_id, tenant)))


@router.post(f"{_PATH}/{{generation_id}}/cancel", tags=["generations"], responses=openapi.CANCEL)
async def cancel(generation_id: str, generations: GenerationsDep, tenant: MayCancel) -> Response:
    """Stop it. A generation that has ended stays as it is."""
    status = await generations.cancel(generation_id, tenant)
    return Json(Ended(id=generation_id, status=status.value))


@router.post(
    f"{_PATH}/{{generation_id}}/tokens",
    tags=["generations"],
    status_code=201,
    responses=openapi.TOKENS,
    openapi_extra=openapi.TOKENS_BODY,
)
async def tokens(
    request: Request, generation_id: str, generations: GenerationsDep, share_tokens: ShareTokensDep, tenant: Tenant
) -> Response:
    """Make a token for this generation alone. Its holder may watch, or watch and cancel."""
    wanted = _token_request(await read_object(request))
    await generations.meta(generation_id, tenant)
    minted = share_tokens.mint(generation_id, tenant, wanted.rights, wanted.expires_s)
    if not wanted.cookie:
        return Json(minted, status_code=201)
    response = Json(MintedCookie(rights=minted["rights"], expires_at=minted["expires_at"]), status_code=201)
    set_token_cookie(response, generation_id, minted["token"], max_age_s=share_tokens.max_expires_s)
    return response


@router.delete(f"{_PATH}/{{generation_id}}", tags=["generations"], status_code=204, responses=openapi.DELETE)
async def delete(generation_id: str, generations: GenerationsDep, tenant: Tenant) -> Response:
    """Stop it if it runs, and delete its answer."""
    await generations.delete(generation_id, tenant)
    return Response(status_code=204)


def _token_request(body: dict[str, Any]) -> TokenRequest:
    try:
        return TokenRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(sentences(error.errors(include_input=False, include_url=False))) from error


def _urls(generation_id: str) -> Urls:
    own = f"{_PATH}/{generation_id}"
    return Urls(self=own, events=f"{own}/events", cancel=f"{own}/cancel")


def _wants_events(request: Request) -> bool:
    kinds = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    return "text/event-stream" in kinds
