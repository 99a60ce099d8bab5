"""Owns reading and writing JSON bodies; the frames of streams are in `formats/`.

Knows nothing of what a body means. FastAPI does not read or write bodies here: it fails with 500 when a text
has half a surrogate pair (half an emoji), which providers and clients do send.
"""

import asyncio
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


_MAX_VALUES: Final = 500_000
"""One value takes up to 90 bytes of memory, however short its text is: 20 MB of `[],[],...` would take 600 MB."""

_LARGE_BYTES: Final = 262_144
"""A larger body is parsed beside the event loop."""


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
        # Not `request.body()`, which keeps the bytes for as long as the request lasts.
        raw = b"".join([part async for part in request.stream()])
    except ClientDisconnect as error:
        # Nobody reads this response, but without it the log would show an error of the server.
        raise BadRequest(_CLIENT_LEFT) from error
    return parse_object(raw) if len(raw) <= _LARGE_BYTES else await asyncio.to_thread(parse_object, raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that these bytes are. Raises `BadRequest`."""
    if b"\0" in raw:
        # UTF-16, which Python's parser accepts: values could not be counted in it.
        raise BadRequest(_NOT_JSON)
    if _has_more_values(raw, _MAX_VALUES):
        raise BadRequest(f"The request body has more than {_MAX_VALUES} values. Send fewer.")
    try:
        body = decode_json(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(_NOT_JSON) from error
    if not isinstance(body, dict):
        raise BadRequest('The request body must be a JSON object, such as `{"model": ...}`.')
    if not _is_shallow(body):
        raise BadRequest(f"The request body has more than {_MAX_DEPTH} nested levels. Make it flatter.")
    return body


def _has_more_values(raw: bytes, limit: int) -> bool:
    """Whether a JSON text has more values than `limit`, without parsing it: each value begins the text, or follows a
    comma or an opening bracket. Of a text that is not JSON the result means nothing."""
    if _separators(raw) < limit:
        # Also those inside strings: only a text with very many is worth a closer look.
        return False
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    # Each value has at most one key: two strings.
    if bare.count(b'"') > 4 * limit:
        return True
    return _separators(b"".join(bare.split(b'"')[::2])) >= limit


def _separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        if not level:
            return True
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
    return not level


def _children(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
