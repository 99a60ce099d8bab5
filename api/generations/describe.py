"""Owns what a request body describes: the generation to create, or why it cannot be created.

Touches nothing but the body. `describe` reads no clock but for the new id; `describe_beside` and
`check_schema` use a thread.
"""

import asyncio
import json
import re
import time
from hashlib import sha256
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from outlive.api.generation_request import OUR_FIELDS, STREAM_FIELDS, GenerationRequest, check_lists
from outlive.api.schemas import sentences
from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO, NewGeneration, derived_id, new_id
from outlive.shared.model.schema_check import asked_schema, schema_error
from outlive.shared.model.stored_request import LARGE_BYTES, pack
from outlive.shared.model.usage import CHARS_PER_TOKEN, estimate_prompt
from outlive.shared.settings import Settings
from outlive.shared.telemetry.traces import checked
from outlive.shared.upstreams import BETWEEN_TOKENS_S, FIRST_TOKEN_S, NAME, chosen

_Default = TypeVar("_Default", float, None)
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)


async def describe_beside(
    body: dict[str, Any],
    idempotency_key: str | None,
    tenant: str,
    settings: Settings,
    traceparent: str | None = None,
    *,
    echo: dict[str, Any] | None = None,
) -> NewGeneration:
    """As `describe`; in a thread if the messages are large, because hashing and compressing them takes time. Raises
    what `check_schema` raises as well."""
    check_lists(body)
    messages = body.get("messages")
    is_large = isinstance(messages, list) and estimate_prompt(body) * CHARS_PER_TOKEN > LARGE_BYTES
    arguments = (body, idempotency_key, tenant, settings, traceparent)
    new = await asyncio.to_thread(describe, *arguments, echo=echo) if is_large else describe(*arguments, echo=echo)
    await check_schema(body)
    return new


def describe(
    body: dict[str, Any],
    idempotency_key: str | None,
    tenant: str,
    settings: Settings,
    traceparent: str | None = None,
    *,
    echo: dict[str, Any] | None = None,
) -> NewGeneration:
    """The generation that `body` describes; `echo` is stored beside the request. Raises `BadRequest` and
    `ModelNotFound`."""
    if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise BadRequest("The header Idempotency-Key must have 1 to 255 printable ASCII characters.")
    check_lists(body)
    body_hash = sha256(canonical(body)).hexdigest()
    try:
        request = GenerationRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(sentences(error.errors(include_input=False, include_url=False))) from error
    _check_upstream(request, settings)
    # Taken from the body, not from the model: the provider gets every value exactly as it was sent.
    upstream = {name: value for name, value in body.items() if name not in OUR_FIELDS | STREAM_FIELDS}
    beside = {
        ECHO: echo,
        NAME: request.upstream,
        FIRST_TOKEN_S: _limited(FIRST_TOKEN_S, request.first_token_s, None, settings.max_deadline_s),
        BETWEEN_TOKENS_S: _limited(BETWEEN_TOKENS_S, request.between_tokens_s, None, settings.max_deadline_s),
    }
    stored = upstream | {name: value for name, value in beside.items() if value is not None}
    return NewGeneration(
        id=new_id(time.time_ns() // 1_000_000) if idempotency_key is None else derived_id(tenant, idempotency_key),
        tenant=tenant,
        model=request.model,
        request=pack(encode_json(stored)),
        metadata=encode_json(request.metadata or {}),
        body_hash=body_hash,
        prompt_tokens=estimate_prompt(upstream),
        on_interrupt=request.on_interrupt,
        deadline_s=_limited("deadline_s", request.deadline_s, settings.deadline_s, settings.max_deadline_s),
        retention_s=_limited("retention_s", request.retention_s, settings.retention_s, settings.max_retention_s),
        trace=checked(traceparent),
    )


async def check_schema(body: dict[str, Any]) -> None:
    """Refuse a `response_format` whose schema is not a JSON schema, because no answer could be checked by it.
    Raises `BadRequest`. In a thread, because a large schema takes time."""
    schema = asked_schema(body)
    if schema is not None and (fault := await asyncio.to_thread(schema_error, schema)):
        raise BadRequest(f"The schema in `response_format` is not a JSON schema: {fault}")


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, however it was written. Raises `BadRequest`."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except ValueError as error:
        # Python reads NaN and Infinity, which JSON does not have.
        raise BadRequest("The request body is not JSON: it holds NaN or Infinity.") from error


def _check_upstream(request: GenerationRequest, settings: Settings) -> None:
    """Raises `ModelNotFound` if no upstream serves the model, and `BadRequest` if it allows fewer tokens."""
    upstream = settings.providers[chosen(settings.providers, request.model, request.upstream)]
    max_tokens = upstream.max_output_tokens or settings.max_output_tokens
    for name in ("max_tokens", "max_completion_tokens"):
        if (wanted := getattr(request, name) or 0) > max_tokens:
            raise BadRequest(f"`{name}` is {wanted}, but this server allows at most {max_tokens} tokens.", param=name)


def _limited(name: str, wanted: float | None, default: _Default, limit: float) -> float | _Default:
    if wanted is None:
        return default
    if wanted > limit:
        raise BadRequest(f"`{name}` is {wanted:g}, but this server allows at most {limit:g} seconds.", param=name)
    return wanted
