"""Owns making a generation: from a request body to an entry in the log and a delivery in the queue.

Two steps on purpose: the log knows of a generation before any worker can. If the second is lost,
the same Idempotency-Key finds the first still queued and repeats the second (R3).
"""

import asyncio
import json
import re
import time
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from outlive.api.schemas import OUR_FIELDS, STREAM_FIELDS, GenerationRequest, sentences
from outlive.api.services import Services
from outlive.shared.errors import BadRequest, GenerationGone, IdempotencyConflict
from outlive.shared.log.replies import CreateReply, ReplyCode
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import CLOSED, ECHO, NewGeneration, Status, derived_id, new_id
from outlive.shared.model.schema_check import asked_schema, schema_error
from outlive.shared.model.usage import estimate_prompt
from outlive.shared.queue.quota import Reservation
from outlive.shared.settings import Settings
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import Value, checked
from outlive.shared.upstreams import NAME, chosen

_FIRST_DELIVERY: Final = 1
_MODEL_CHARS: Final = 200
"""Of a name, in a trace."""
_NOTHING_MADE: Final = frozenset({ReplyCode.CONFLICT, ReplyCode.GONE})
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)


class Made(NamedTuple):
    """A generation that exists; `is_new` when this very request made it."""

    new: NewGeneration
    status: str
    created_at: float
    is_new: bool


def described(
    body: dict[str, Any],
    idempotency_key: str | None,
    tenant: str,
    settings: Settings,
    traceparent: str | None = None,
    *,
    echo: dict[str, Any] | None = None,
) -> NewGeneration:
    """What `body` asks for; `echo` is stored beside it. Raises `BadRequest` and `ModelNotFound`; touches nothing."""
    if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    body_hash = sha256(canonical(body)).hexdigest()
    try:
        asked = GenerationRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(sentences(error.errors(include_input=False, include_url=False))) from error
    _check_upstream(asked, settings)
    # Taken from the body, not from the model: the provider gets every value exactly as it was sent.
    upstream = {name: value for name, value in body.items() if name not in OUR_FIELDS | STREAM_FIELDS}
    beside = {ECHO: echo, NAME: asked.upstream}
    stored = upstream | {name: value for name, value in beside.items() if value is not None}
    return NewGeneration(
        id=new_id(time.time_ns() // 1_000_000) if idempotency_key is None else derived_id(tenant, idempotency_key),
        tenant=tenant,
        model=asked.model,
        request=encode_json(stored),
        metadata=encode_json(asked.metadata or {}),
        body_hash=body_hash,
        prompt_tokens=estimate_prompt(upstream),
        on_interrupt=asked.on_interrupt,
        deadline_s=_within("deadline_s", asked.deadline_s, settings.deadline_s, settings.max_deadline_s),
        retention_s=_within("retention_s", asked.retention_s, settings.retention_s, settings.max_retention_s),
        trace=checked(traceparent),
    )


async def check_schema(body: dict[str, Any]) -> None:
    """Refuse a `response_format` whose schema is none: no answer could be held against it. Raises
    `BadRequest`. In a thread, because a large schema takes its time."""
    schema = asked_schema(body)
    if schema is not None and (fault := await asyncio.to_thread(schema_error, schema)):
        raise BadRequest(f"response_format holds no JSON schema: {fault}")


async def make(services: Services, new: NewGeneration) -> Made:
    """Create and enqueue. Raises `IdempotencyConflict`, `GenerationGone` and `LogUnavailable`."""
    told: dict[str, Value] = {"outlive.generation.id": new.id, "gen_ai.request.model": new.model[:_MODEL_CHARS]}
    with (
        services.traces.under(new.trace).child("create generation", "server", told) as span,
        logs.about(generation=new.id, trace=span.trace_id),
    ):
        return await _make(services, replace(new, trace=span.traceparent))


async def _make(services: Services, new: NewGeneration) -> Made:
    place = await services.admission.place(new)
    if place is Reservation.FULL and (await services.reader.metas([new.id]))[0] is None:
        raise services.admission.refuse_full()
    reply: CreateReply = await services.eventlog.create(new)
    if place is Reservation.NEW and (reply.code in _NOTHING_MADE or reply.status in CLOSED):
        # Repeated, refused or over: whatever it is, it holds no place.
        await services.queue.leave(new.id)
    if reply.code is ReplyCode.CONFLICT:
        raise IdempotencyConflict
    if reply.code is ReplyCode.GONE:
        raise GenerationGone
    if reply.status == Status.QUEUED:
        await services.queue.enqueue(new.id, _FIRST_DELIVERY, lasts_s=new.deadline_s)
    return Made(new, reply.status, reply.created_at, is_new=reply.code is ReplyCode.NEW)


def _check_upstream(asked: GenerationRequest, settings: Settings) -> None:
    """That somebody serves the model, and may say as much as is asked for."""
    upstream = settings.providers[chosen(settings.providers, asked.model, asked.upstream)]
    most = upstream.max_output_tokens or settings.max_output_tokens
    for name in ("max_tokens", "max_completion_tokens"):
        if (getattr(asked, name) or 0) > most:
            raise BadRequest(f"An answer of so many tokens is above what this server allows, {most}.", param=name)


def _within(name: str, asked: float | None, default: float, most: float) -> float:
    if asked is None:
        return default
    if asked > most:
        raise BadRequest(f"{name} is above what this server allows, {most:g} s.")
    return asked


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, however it was written. Raises `BadRequest`."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except ValueError as error:
        # NaN and Infinity, which Python reads and nobody else does.
        raise BadRequest("The request body is not JSON.") from error
