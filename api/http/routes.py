"""Owns the HTTP surface of generations: which path means which verb, and what it answers.

Decides nothing about logs; errors become answers in `problems.py`, streams in `sse_response.py`.
"""

import asyncio
import logging
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import ValidationError

from outlive.api.formats.native import NATIVE, UNFOLDED
from outlive.api.generations import end
from outlive.api.generations.create import check_schema, described, make
from outlive.api.generations.list_page import page_of
from outlive.api.generations.snapshot import Reduction
from outlive.api.http import openapi
from outlive.api.http.callers import MayCancel, MayView, MayWatch, Tenant
from outlive.api.http.json_bodies import Json, read_object
from outlive.api.http.problems import unavailable
from outlive.api.http.ratelimit_headers import LimitedRoute
from outlive.api.http.share_tokens import as_cookie, mint
from outlive.api.http.sse_response import AwayResponse, EventsResponse
from outlive.api.schemas import (
    Created,
    Ended,
    Health,
    MintedCookie,
    RightsName,
    Snapshot,
    StatusName,
    TokenRequest,
    Urls,
    Viewers,
    sentences,
)
from outlive.api.services import Provided, Services
from outlive.shared.errors import BadRequest, GenerationNotFound, LogUnavailable
from outlive.shared.log.listing import ListPosition
from outlive.shared.model.codec import decode_json
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import CLOSED, Meta, Status, is_id
from outlive.shared.telemetry.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)

router = APIRouter(route_class=LimitedRoute)

_PATH: Final = "/v1/generations"
_READY_S: Final = 1.0

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
Before = Annotated[str | None, Query(description=openapi.BEFORE, json_schema_extra=openapi.PLACE_LIKE)]


@router.post(_PATH, tags=["generations"], status_code=201, responses=openapi.CREATE, openapi_extra=openapi.CREATE_BODY)
async def create(
    request: Request, services: Provided, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for an answer. It is made whether or not anybody watches."""
    body = await read_object(request)
    new = described(body, idempotency_key, tenant, services.settings, request.headers.get("traceparent"))
    await check_schema(body)
    made = await services.tasks.finish(make(services, new))
    urls = _urls(new.id)
    headers = {"Location": urls["self"]}
    if _wants_events(request):
        leave = services.crowd.enter(request, new.id)
        return EventsResponse(services.hub, new.id, after=START, wire=NATIVE, leave=leave, headers=headers)
    created = Created(
        id=new.id, status=Status(made.status).value, model=new.model, created_at=made.created_at, urls=urls
    )
    rights: RightsName | None = body.get("token")
    if rights is not None and services.credentials is not None:
        created["token"] = mint(services, new.id, tenant, rights)
    # Without a key nobody can have made it before: EXISTING then answers our own repetition after a
    # lost reply (R7).
    found = idempotency_key is not None and not made.is_new
    return Json(created, status_code=200 if found else 201, headers=headers)


@router.get(_PATH, tags=["generations"], responses=openapi.LIST)
async def list_(
    services: Provided, tenant: Tenant, status: StatusName | None = None, limit: Limit = 20, before: Before = None
) -> Response:
    """The newest generations, without what they say."""
    place = ListPosition.parse(before) if before else None
    return Json(await page_of(services.listing, services.reader, tenant, status=status, limit=limit, before=place))


@router.get(f"{_PATH}/{{generation_id}}", tags=["generations"], responses=openapi.SNAPSHOT)
async def snapshot(generation_id: str, services: Provided, tenant: MayView) -> Response:
    """The answer so far, in one piece."""
    await _meta(services, generation_id, tenant)
    reduction = Reduction()
    async for page in services.reader.pages(generation_id):
        reduction.add(page)
    # Status, cursor and text come from the entries read and so agree. Meta may already be further;
    # it is read last, so that it has the times of whatever the entries say, and gives only those.
    meta = await _meta(services, generation_id, tenant)
    reduced = reduction.result()
    return Json(
        Snapshot(
            id=generation_id,
            model=meta.model,
            **reduced,
            metadata=decode_json(meta.metadata),
            viewers=await _viewers(services, generation_id),
            created_at=meta.created_at,
            started_at=meta.started_at if reduced["attempt"] else None,
            finished_at=meta.finished_at if reduced["status"] in CLOSED else None,
        )
    )


@router.get(f"{_PATH}/{{generation_id}}/events", tags=["generations"], responses=openapi.EVENTS)
async def events(
    request: Request,
    generation_id: str,
    services: Provided,
    tenant: MayWatch,
    last_event_id: LastEventId = None,
    after: After = None,
    fold: Fold = True,
) -> Response:
    """Watch: every event after the cursor, then each new one as it happens, to the end."""
    if not is_id(generation_id):
        raise GenerationNotFound
    cursor = Cursor.parse_resume(last_event_id or after)
    # A native EventSource gives up for good on any error; this makes it come again.
    if tenant is None or services.crowd.is_full:
        return AwayResponse(services.hub)
    try:
        meta = await services.looks.meta(generation_id, tenant)
    except LogUnavailable:
        return AwayResponse(services.hub)
    if meta.terminal is not None and cursor == meta.terminal:
        return Response(status_code=204)
    leave = services.crowd.enter(request, generation_id)
    wire = NATIVE if fold else UNFOLDED
    return EventsResponse(services.hub, generation_id, after=cursor, wire=wire, leave=leave)


@router.get(f"{_PATH}/{{generation_id}}/viewers", tags=["generations"], responses=openapi.VIEWERS)
async def viewers(generation_id: str, services: Provided, tenant: MayView) -> Response:
    """How many watch now; cheap to ask again and again."""
    await _meta(services, generation_id, tenant)
    return Json(Viewers(viewers=await _viewers(services, generation_id)))


@router.post(f"{_PATH}/{{generation_id}}/cancel", tags=["generations"], responses=openapi.CANCEL)
async def cancel(generation_id: str, services: Provided, tenant: MayCancel) -> Response:
    """Stop it. What has ended already stays as it ended."""
    await _meta(services, generation_id, tenant)
    status = await services.tasks.finish(end.cancel(services, generation_id))
    return Json(Ended(id=generation_id, status=status.value))


@router.post(
    f"{_PATH}/{{generation_id}}/tokens",
    tags=["generations"],
    status_code=201,
    responses=openapi.TOKENS,
    openapi_extra=openapi.TOKENS_BODY,
)
async def tokens(request: Request, generation_id: str, services: Provided, tenant: Tenant) -> Response:
    """A token for this generation alone, to be handed on: its holder may watch, or watch and cancel."""
    body = await read_object(request)
    try:
        asked = TokenRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(sentences(error.errors(include_input=False, include_url=False))) from error
    await _meta(services, generation_id, tenant)
    minted = mint(services, generation_id, tenant, asked.rights, asked.expires_s)
    if not asked.cookie:
        return Json(minted, status_code=201)
    answer = Json(MintedCookie(rights=minted["rights"], expires_at=minted["expires_at"]), status_code=201)
    as_cookie(answer, generation_id, minted, services.settings)
    return answer


@router.delete(f"{_PATH}/{{generation_id}}", tags=["generations"], status_code=204, responses=openapi.DELETE)
async def delete(generation_id: str, services: Provided, tenant: Tenant) -> Response:
    """Stop it if need be, and forget the answer."""
    meta = await _meta(services, generation_id, tenant)
    await services.tasks.finish(end.delete(services, generation_id, tenant, meta))
    return Response(status_code=204)


@router.get("/healthz", tags=["operation"], responses=openapi.HEALTH)
async def healthz() -> Response:
    """Whether this process is alive."""
    return Json(Health(status="ok"))


@router.get("/readyz", tags=["operation"], responses=openapi.READY)
async def readyz(services: Provided) -> Response:
    """Whether to send viewers to this process."""
    if services.hub.draining:
        return unavailable("draining", "This process is shutting down.")
    try:
        async with asyncio.timeout(_READY_S):
            await services.planes.ping()
    except (LogUnavailable, TimeoutError):
        return unavailable(LogUnavailable.code, "Redis does not answer.")
    return Json(Health(status="ok"))


@router.get("/metrics", include_in_schema=False)
async def metrics(services: Provided) -> Response:
    """What this API measures, in Prometheus' words, over all processes on this port."""
    try:
        async with asyncio.timeout(_READY_S):
            services.measures.backlog(*await services.queue.backlog())
    except (LogUnavailable, TimeoutError):
        services.measures.backlog()
    # In a thread, because it may read the files of many processes.
    return Response(await asyncio.to_thread(services.measures.exposition), media_type=CONTENT_TYPE)


async def _meta(services: Services, generation_id: str, tenant: str) -> Meta:
    if not is_id(generation_id):
        raise GenerationNotFound
    return await services.reader.meta(generation_id, tenant)


async def _viewers(services: Services, generation_id: str) -> int:
    return services.hub.viewers_of(generation_id) + await services.presence.elsewhere(generation_id)


def _urls(generation_id: str) -> Urls:
    own = f"{_PATH}/{generation_id}"
    return Urls(self=own, events=f"{own}/events", cancel=f"{own}/cancel")


def _wants_events(request: Request) -> bool:
    kinds = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    return "text/event-stream" in kinds
