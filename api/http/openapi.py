"""Owns what the OpenAPI document says beyond what FastAPI finds by itself: streams, problems, headers.

Text and schemas only. The schemas of events are made from `shared/model/events.py`, so they cannot differ.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from outlive.api.schemas import (
    Created,
    Ended,
    GenerationRequest,
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
LAST_EVENT_ID: Final = "The last event id seen; EventSource sends it when it reconnects. Goes before `after`."
AFTER: Final = "The last event id seen. None, empty, `-1`, `0` or `0-0`: from the start."
FOLD: Final = "Whether pieces of text one is behind by may arrive joined, as one event with the last one's id."
KEY_LIKE: Final[Schema] = {"pattern": "^[ -~]{1,255}$"}
_NUMBER: Final = "(0|[1-9][0-9]{0,18}|1[0-7][0-9]{18})"
CURSOR_LIKE: Final[Schema] = {"pattern": f"^(|-1|0|{_NUMBER}-{_NUMBER})$"}
PLACE_LIKE: Final[Schema] = {"pattern": "^(|[0-9]{1,15}-gen_[0-9a-f]{32})$"}
"""For the document alone: what is otherwise refused is refused in our words and with our codes."""

LIMIT: Final = "The most generations on a page."
BEFORE: Final = "The `next` of the page before; none: from the newest."

_EVENTS: Final[dict[type[Any], str]] = {
    events.Queued: "queued",
    events.Attempt: "attempt",
    events.Token: "token",
    events.Reasoning: "reasoning",
    events.Refusal: "refusal",
    events.ToolCall: "tool_call",
    events.ToolCallDone: "tool_call_done",
    events.ToolResult: "tool_result",
    events.Json: "json",
    events.Completed: "completed",
    events.Failed: "failed",
    events.Cancelled: "cancelled",
}
_STREAM_HEADERS: Final = {
    "Cache-Control": {"schema": {"const": "no-store, no-transform"}},
    "X-Accel-Buffering": {"schema": {"const": "no"}},
}
_EITHER_CACHE_CONTROL: Final = {"schema": {"enum": ["no-store", "no-store, no-transform"]}}
"""Where an answer may be JSON or a stream."""
_LOCATION: Final = {"Location": {"schema": {"type": "string", "format": "uri-reference"}}}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(description: str, headers: Schema | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
        "headers": headers or {},
    }


_STREAM: Final = {"text/event-stream": {"schema": _ref("StreamEvent")}}
_AWAY: Final = _problem("Redis is away or full; nothing is known to have changed.", _RETRY_AFTER)
_MISSING: Final[Responses] = {
    404: _problem("Unknown, or not yours."),
    410: _problem("Deleted, or its retention has passed."),
}
_COMMON: Final[Responses] = {500: _problem("A mistake of ours.")}

_ASKED: Final = {
    "401": _problem(
        "No credential, or one that is not valid here.", {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
    ),
    "403": _problem("A token for one generation, used for more than it says."),
    "429": _problem("More than a caller may have or ask at once.", _RETRY_AFTER),
}
CREATE: Final[Responses] = {
    201: {"model": Created, "description": "Made.", "headers": _LOCATION},
    200: {
        "description": "Made before by the same Idempotency-Key; or, with `Accept: text/event-stream`, the stream.",
        "model": Created,
        "content": _STREAM,
        "headers": {**_LOCATION, **_STREAM_HEADERS, "Cache-Control": _EITHER_CACHE_CONTROL},
    },
    400: _problem("Not a valid request."),
    404: _problem("No upstream here serves the model, or none of that name."),
    409: _problem("The Idempotency-Key was used with another body."),
    410: _problem("The Idempotency-Key made a generation that is gone."),
    413: _problem("The body is too large."),
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
    400: _problem("`before` is no `next` of this list, or `status` or `limit` are not valid."),
    503: _AWAY,
    **_COMMON,
}
VIEWERS: Final[Responses] = {
    200: {"model": Viewers, "description": "How many."},
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
EVENTS: Final[Responses] = {
    200: {
        "description": (
            "Events after the cursor, one SSE frame each, up to and including one of `completed`, `failed` and "
            "`cancelled`. A stream that ends without one of them is to be resumed with the last id. Lines that begin "
            "with a colon are heartbeats. While Redis is away: a `retry:` line and a clean end."
        ),
        "content": _STREAM,
        "headers": _STREAM_HEADERS,
    },
    204: {"description": "The cursor is the last event; there is nothing to wait for."},
    400: _problem("The cursor is not `<epoch>-<seq>`, or `fold` is neither true nor false."),
    **_MISSING,
    **_COMMON,
}
CANCEL: Final[Responses] = {200: {"model": Ended, "description": "How it ended."}, **_MISSING, 503: _AWAY, **_COMMON}
DELETE: Final[Responses] = {
    204: {"description": "Gone now; 410 for a day from here on."},
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
TOKENS: Final[Responses] = {
    201: {"model": Minted | MintedCookie, "description": "Signed, and kept nowhere."},
    400: _problem("Not a valid request, or this server asks nobody who he is."),
    413: _problem("The body is too large."),
    **_MISSING,
    503: _AWAY,
    **_COMMON,
}
TOKENS_BODY: Final[Schema] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("TokenRequest")}}},
}
HEALTH: Final[Responses] = {200: {"model": Health, "description": "Alive."}}
READY: Final[Responses] = {
    200: {"model": Health, "description": "Ready."},
    503: _problem("Redis does not answer, or this process is shutting down.", _RETRY_AFTER),
}


def install(app: FastAPI, *, auth: bool, max_s: Mapping[str, float]) -> None:
    """Make the app's document complete; `auth`: whether callers must say who they are; `max_s`: what
    this server allows of the fields that are times."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
            _limit_times(app.openapi_schema, max_s)
            if auth:
                _ask_who(app.openapi_schema)
        return app.openapi_schema

    app.openapi: Callable[[], dict[str, Any]] = build  # type: ignore[method-assign, misc]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    schemas: Schema = document.setdefault("components", {}).setdefault("schemas", {})
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        # FastAPI's own word for bad parameters; ours are 400 and a problem.
        operation["responses"].pop("422", None)
        for response in operation["responses"].values():
            # And its own default for an answer without a model, on routes that answer something else.
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


def _ask_who(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, a token of the issuer, or `olg_...`.",
        }
    }
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"bearer": []}]
                operation["responses"] |= _ASKED


def _add(schemas: Schema, kind: type[Any]) -> Schema:
    schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    schemas[kind.__name__] = schema
    return schema


def _add_events(schemas: Schema) -> None:
    kinds = []
    for kind, name in _EVENTS.items():
        data = _add(schemas, kind)
        if kind.type in events.FOLDABLE or kind is events.Json:
            data["properties"]["from"] = {"type": "integer", "description": "Folded: the seq of the first piece."}
        if kind.type in events.FOLDABLE:
            data["properties"]["json"] = {
                "type": "array",
                "items": _ref("Json"),
                "description": "Folded: what grew meanwhile, one element per target; to be applied after the text.",
            }
        kinds.append(_frame(name, _ref(kind.__name__), identified=True))
    reset = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    schemas["Reset"] = {**reset, "description": "Your cursor cannot be continued: forget all, the first event follows."}
    kinds.append(_frame("reset", _ref("Reset"), identified=False))
    schemas["StreamEvent"] = {
        "oneOf": kinds,
        "description": "One SSE frame. `data` is JSON on one line. Ignore events you do not know.",
    }


def _frame(name: str, data: Schema, *, identified: bool) -> Schema:
    given: Schema = {"event": {"const": name}, "data": {"contentMediaType": "application/json", "contentSchema": data}}
    if identified:
        given["id"] = {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}
    return {"type": "object", "title": name, "properties": given, "required": list(given)}
