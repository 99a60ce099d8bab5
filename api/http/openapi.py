"""Owns the parts of the OpenAPI document that FastAPI cannot derive: streams, problems, headers.

Text and schemas only. The schemas of events are made from `shared/model/events.py`, so they cannot differ.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from outlive.api.generation_request import GenerationRequest
from outlive.api.schemas import (
    Created,
    Ended,
    Health,
    Minted,
    MintedCookie,
    Page,
    Problem,
    Snapshot,
    TokenRequest,
    Viewers,
)
from outlive.shared.model import events

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

IDEMPOTENCY_KEY: Final = "1 to 255 printable ASCII characters. The same key and body give the same generation."
LAST_EVENT_ID: Final = "The id of the last event you got. EventSource sends it on reconnect. It wins over `after`."
AFTER: Final = "The id of the last event you got. Absent, empty, `-1`, `0` or `0-0`: from the start."
FOLD: Final = "Whether pieces of text that you missed may arrive as one event, with the id of the last piece."
KEY_LIKE: Final[Schema] = {"pattern": "^[ -~]{1,255}$"}
_NUMBER: Final = "(0|[1-9][0-9]{0,18}|1[0-7][0-9]{18})"
CURSOR_LIKE: Final[Schema] = {"pattern": f"^(|-1|0|{_NUMBER}-{_NUMBER})$"}
POSITION_LIKE: Final[Schema] = {"pattern": "^(|[0-9]{1,15}-gen_[0-9a-f]{32})$"}
"""For the document only. The server validates these values itself, to refuse them with its own codes."""

LIMIT: Final = "The maximum number of generations on a page."
BEFORE: Final = "The `next` of the previous page. Absent: from the newest."

_EVENTS: Final[tuple[Any, ...]] = (
    events.Queued, events.Attempt, events.Token, events.Reasoning, events.Refusal, events.ToolCall,
    events.ToolCallDone, events.ToolResult, events.Json, events.Completed, events.Failed, events.Cancelled,
)  # fmt: skip
_STREAM_HEADERS: Final = {
    "Cache-Control": {"schema": {"const": "no-store, no-transform"}},
    "X-Accel-Buffering": {"schema": {"const": "no"}},
}
_EITHER_CACHE_CONTROL: Final = {"schema": {"enum": ["no-store", "no-store, no-transform"]}}
"""For a response that is JSON or a stream."""
_LOCATION: Final = {"Location": {"schema": {"type": "string", "format": "uri-reference"}}}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(description: str, headers: Schema | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
        "headers": headers or {},
    }


_STREAM: Final = {"text/event-stream": {"schema": _ref("StreamEvent")}}
_AWAY: Final = _problem("Redis is away or full. Retry: it is safe to repeat the request.", _RETRY_AFTER)
_MISSING: Final[Responses] = {
    404: _problem("The generation does not exist, or belongs to another tenant."),
    410: _problem("The generation was deleted, or its retention has passed."),
}
_TOO_MANY_VIEWERS: Final = _problem("Too many viewers watch this generation, or watch from this address.", _RETRY_AFTER)
_COMMON: Final[Responses] = {500: _problem("A bug in Outlive.")}

_AUTHENTICATED: Final = {
    "401": _problem(
        "The credential is missing or not valid here.", {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
    ),
    "403": _problem("A token for one generation does not allow this."),
    "429": _problem("The caller has reached one of its limits.", _RETRY_AFTER),
}
CREATE: Final[Responses] = {
    201: {"model": Created, "description": "Created.", "headers": _LOCATION},
    200: {
        "description": "An earlier request with this Idempotency-Key created it. With `Accept: text/event-stream`: the "
        "stream of events.",
        "model": Created,
        "content": _STREAM,
        "headers": {**_LOCATION, **_STREAM_HEADERS, "Cache-Control": _EITHER_CACHE_CONTROL},
    },
    400: _problem("The request is not valid."),
    404: _problem("No upstream serves the model, or no upstream has the name in `upstream`."),
    409: _problem("The Idempotency-Key was used with another body."),
    410: _problem("The generation of this Idempotency-Key was deleted, or its retention has passed."),
    413: _problem("The body is too large."),
    429: _TOO_MANY_VIEWERS,
    503: _AWAY,
    **_COMMON,
}
CREATE_BODY: Final[Schema] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("GenerationRequest")}}},
}
SNAPSHOT: Final[Responses] = {
    200: {"model": Snapshot, "description": "The answer so far."},
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
LIST: Final[Responses] = {
    200: {"model": Page, "description": "A page of the list."},
    400: _problem("`before` is not a `next` of this list, or `status` or `limit` is not valid."),
    503: _AWAY,
    **_COMMON,
}
VIEWERS: Final[Responses] = {
    200: {"model": Viewers, "description": "The number of viewers."},
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
EVENTS: Final[Responses] = {
    200: {
        "description": (
            "Events after the cursor, one SSE frame each, up to and including `completed`, `failed` or `cancelled`. "
            "If a stream ends without one of these, resume it with the last id. Lines that begin with a colon are "
            "heartbeats. While Redis is away or this process is full, the stream is a `retry:` line and a clean end."
        ),
        "content": _STREAM,
        "headers": _STREAM_HEADERS,
    },
    204: {"description": "The cursor is the last event. Nothing follows."},
    400: _problem("The cursor is not `<epoch>-<seq>`, or `fold` is not true or false."),
    **_MISSING,
    429: _TOO_MANY_VIEWERS,
    **_COMMON,
}
CANCEL: Final[Responses] = {200: {"model": Ended, "description": "How it ended."}, **_MISSING, 503: _AWAY, **_COMMON}
DELETE: Final[Responses] = {
    204: {"description": "Deleted. Requests for it get 410 for a day, then 404."},
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
TOKENS: Final[Responses] = {
    201: {"model": Minted | MintedCookie, "description": "The token. The server does not keep it."},
    400: _problem("The request is not valid, or callers of this server need no credentials."),
    413: _problem("The body is too large."),
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
TOKENS_BODY: Final[Schema] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("TokenRequest")}}},
}
HEALTH: Final[Responses] = {200: {"model": Health, "description": "The process is alive."}}
READY: Final[Responses] = {
    200: {"model": Health, "description": "The process is ready."},
    503: _problem("Redis does not answer, or this process is shutting down.", _RETRY_AFTER),
}


def install(app: FastAPI, *, auth: bool, max_s: Mapping[str, float]) -> None:
    """Complete the app's document. `auth`: whether callers must authenticate; `max_s`: the maximum of each field
    that is a time."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
            _limit_times(app.openapi_schema, max_s)
            if auth:
                _require_credentials(app.openapi_schema)
        return app.openapi_schema

    app.openapi: Callable[[], dict[str, Any]] = build  # type: ignore[method-assign, misc]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    schemas: Schema = document.setdefault("components", {}).setdefault("schemas", {})
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        # FastAPI's response to bad parameters; here they get 400 and a problem.
        operation["responses"].pop("422", None)
        for response in operation["responses"].values():
            # Its default for a response without a model, on routes that respond with something else.
            if response.get("content", {}).get("application/json", {}).get("schema") == {}:
                del response["content"]["application/json"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for kind in (GenerationRequest, TokenRequest, Problem):
        _add(schemas, kind)
    _add_events(schemas)
    return document


def _limit_times(document: dict[str, Any], max_s: Mapping[str, float]) -> None:
    for kind in (GenerationRequest, TokenRequest):
        for name, field in document["components"]["schemas"][kind.__name__]["properties"].items():
            for choice in field.get("anyOf", ()):
                if name in max_s and choice.get("type") == "number":
                    choice["maximum"] = max_s[name]


def _require_credentials(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, a token of the issuer, or a token for one generation (`olg_...`).",
        }
    }
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"bearer": []}]
                operation["responses"] |= _AUTHENTICATED


def _add(schemas: Schema, kind: type[Any]) -> Schema:
    schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    schemas[kind.__name__] = schema
    return schema


def _add_events(schemas: Schema) -> None:
    kinds = []
    for kind in _EVENTS:
        data = _add(schemas, kind)
        if kind.type in events.FOLDABLE or kind is events.Json:
            data["properties"]["from"] = {
                "type": "integer",
                "description": "Folded: the seq of the first piece.",
            }
        if kind.type in events.FOLDABLE:
            data["properties"]["json"] = {
                "type": "array",
                "items": _ref("Json"),
                "description": "Folded: how JSON values grew, one element per target. Apply it after the text.",
            }
        kinds.append(_frame(kind.type.value, _ref(kind.__name__), identified=True))
    reset: Schema = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    reset["description"] = "The log does not have your cursor. Forget everything: all events follow from the first."
    schemas["Reset"] = reset
    kinds.append(_frame("reset", _ref("Reset"), identified=False))
    schemas["StreamEvent"] = {
        "oneOf": kinds,
        "description": "One SSE frame. `data` is JSON on one line. Ignore events that you do not know.",
    }


def _frame(name: str, data: Schema, *, identified: bool) -> Schema:
    given: Schema = {"event": {"const": name}, "data": {"contentMediaType": "application/json", "contentSchema": data}}
    if identified:
        given["id"] = {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}
    return {"type": "object", "title": name, "properties": given, "required": list(given)}
