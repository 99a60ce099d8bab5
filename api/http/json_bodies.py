"""Owns reading and writing JSON bodies; the frames of streams are in `formats/`.

Knows nothing of what a body means. FastAPI does not read or write bodies here: it fails with 500 when a text
has half a surrogate pair (half an emoji), which providers and clients do send.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import decode_json, encode_json

_CLIENT_LEFT: Final = "The client closed the connection before it had sent the whole request."
_NOT_JSON: Final = "The request body is not valid JSON."

_MAX_DEPTH: Final = 100
"""JSON schemas of tools nest about twelve levels. The API, the worker and the provider walk a request
recursively, and must not run out of stack."""


_PRIVATE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Only one caller may read a response: no cache stores it, and no browser guesses another type for it."""


class Json(Response):
    """A response whose body is any JSON value."""

    media_type = "application/json"

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        named = {name.lower(): value for name, value in (headers or {}).items()}
        super().init_headers(_PRIVATE | named)

    def render(self, content: Any) -> bytes:
        return encode_json(content)


async def read_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object. Raises `BadRequest` and `PayloadTooLarge`."""
    # Any web page can make a browser post text/plain or a form to this server, but not JSON.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise BadRequest("Send the request body with the header `Content-Type: application/json`.")
    try:
        raw = await request.body()
    except ClientDisconnect as error:
        # Nobody reads this response, but without it the log would show an error of the server.
        raise BadRequest(_CLIENT_LEFT) from error
    try:
        body = decode_json(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(_NOT_JSON) from error
    if not isinstance(body, dict):
        raise BadRequest('The request body must be a JSON object, such as `{"model": ...}`.')
    if not _is_shallow(body):
        raise BadRequest(f"The request body has more than {_MAX_DEPTH} nested levels. Make it flatter.")
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
