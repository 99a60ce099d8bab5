"""Owns how a body becomes JSON and back, on the side of plain answers; frames are `native_sse.py`'s.

Knows nothing of what a body means. FastAPI's own reading and writing is not used for bodies: it
answers 500 where a text holds half an emoji, which providers and clients do send.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import decode_json, encode_json

_LEFT: Final = "The client left before its request was whole."
_NOT_JSON: Final = "The request body is not JSON."

_MAX_DEPTH: Final = 100
"""JSON schemas of tools nest a dozen deep. Whoever walks a request later, here, in a worker or at
the provider, does so recursively and must not run out of stack."""


_KEPT_BY_NOBODY: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Answers hold what one caller may read; no cache and no browser makes anything else of them."""


class Json(Response):
    """Any JSON value as an answer."""

    media_type = "application/json"

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        named = {name.lower(): value for name, value in (headers or {}).items()}
        super().init_headers(_KEPT_BY_NOBODY | named)

    def render(self, content: Any) -> bytes:
        return encode_json(content)


async def read_object(request: Request) -> dict[str, Any]:
    """The body, one JSON object. Raises `BadRequest` and `PayloadTooLarge`."""
    # Any web page can make a browser post text/plain or a form to us unasked, but not JSON.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise BadRequest("The request body must be sent with Content-Type: application/json.")
    try:
        raw = await request.body()
    except ClientDisconnect as error:
        # Nobody reads this answer; but it is no mistake of ours either.
        raise BadRequest(_LEFT) from error
    try:
        body = decode_json(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(_NOT_JSON) from error
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object.")
    if not _is_shallow(body):
        raise BadRequest(f"The request body is nested more than {_MAX_DEPTH} levels deep.")
    return body


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        if not level:
            return True
        level = [child for parent in level for child in _children(parent)]
    return not level


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
