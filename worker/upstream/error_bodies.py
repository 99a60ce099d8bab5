"""Owns the reading of what a provider says when it refuses: one reader for every shape of error.

Pure. OpenAI's object, Ollama's string, Gemini's list, FastAPI's `detail`, MiniMax's `base_resp`, Cloudflare's `errors`,
Spark's `code` and `message`, plain text. What follows from an error is decided in `provider_errors.py`.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from outlive.shared.model.codec import encode_json

_MAX_CHARS: Final = 2_000
_MAX_WORD: Final = 128

_STATUS_WORDS: Final = {
    "invalid_argument": 400, "failed_precondition": 400, "out_of_range": 400, "unauthenticated": 401,
    "permission_denied": 403, "not_found": 404, "already_exists": 409, "resource_exhausted": 429, "cancelled": 499,
    "internal": 500, "unknown": 500, "unimplemented": 501, "unavailable": 503, "deadline_exceeded": 504,
}  # fmt: skip
"""Google's names for statuses."""


@dataclass(frozen=True, slots=True)
class ProviderError:
    """What a provider said of an error, as far as it said it."""

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    """An HTTP status that stands inside the error, for errors told in a stream that was begun with 200."""


def error_in(value: dict[str, Any]) -> ProviderError | None:
    """The error that this decoded object tells in place of an answer, or None."""
    if value.get("error"):
        return read_error(value)
    if value.get("choices"):
        return None
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return read_error(value)
    if value.get("errors") or value.get("detail") or value.get("object") == "error" or value.get("type") == "error":
        return read_error(value)
    if (
        "choices" not in value
        and "usage" not in value
        and value.get("message")
        and value.get("code") not in (None, 0, "0")
    ):
        return read_error(value)
    return None


def read_body(body: bytes) -> ProviderError:
    """The error that a whole body tells; its text where it is not JSON."""
    text = body.decode("utf-8", "replace").strip()
    try:
        return read_error(json.loads(text))
    except (ValueError, RecursionError):
        return ProviderError("" if text[:1] == "<" else text[:_MAX_CHARS])


def read_error(value: Any) -> ProviderError:
    """The error in any decoded value."""
    if isinstance(value, list):
        value = next((one for one in value if one), "")
    if not isinstance(value, dict):
        return ProviderError(_text(value))
    inner = _inner(value)
    if inner is not value and isinstance(inner, dict | list) and inner:
        deeper = read_error(inner)
        if deeper.message:
            outer = _own(value)
            return ProviderError(
                deeper.message, deeper.code or outer.code, deeper.type or outer.type,
                deeper.param or outer.param, deeper.status or outer.status,
            )  # fmt: skip
    own = _own(value)
    return (
        own
        if own.message or not isinstance(inner, str)
        else ProviderError(inner[:_MAX_CHARS], own.code, own.type, own.param, own.status)
    )


def _inner(value: dict[str, Any]) -> Any:
    for name in ("error", "errors", "detail", "base_resp"):
        if value.get(name):
            return value[name]
    message = value.get("message")
    return message if isinstance(message, dict | list) and message else value


def _own(value: dict[str, Any]) -> ProviderError:
    message = next((value[name] for name in ("message", "msg", "status_msg", "error_msg", "description", "reason",
    "title", "detail") if isinstance(value.get(name), str) and value[name].strip()), "")  # fmt: skip
    code = next(
        (
            value[name]
            for name in ("code", "status_code", "error_code", "err_code")
            if value.get(name) not in (None, "")
        ),
        None,
    )
    status = _status(code) or _status(value.get("status")) or _status(value.get("statusCode"))
    if not message and value and _inner(value) is value:
        message = encode_json(value).decode()
    word = code if code is not None else value.get("status")
    return ProviderError(message[:_MAX_CHARS], _word(word), _word(value.get("type")), _word(value.get("param")), status)


def _status(value: Any) -> int | None:
    if isinstance(value, str):
        if value.lower() in _STATUS_WORDS:
            return _STATUS_WORDS[value.lower()]
        if not (value.isascii() and value.isdigit()):
            return None
        value = int(value[:6])
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    return value if is_status else None


def _word(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list | bool):
        return None
    return str(value)[:_MAX_WORD] or None


def _text(value: Any) -> str:
    return (
        value[:_MAX_CHARS].strip()
        if isinstance(value, str)
        else ""
        if value is None
        else encode_json(value).decode()[:_MAX_CHARS]
    )
