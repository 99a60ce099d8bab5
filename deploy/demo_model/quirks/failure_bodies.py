"""Owns the quirks of errors: the shapes in which servers write that a request failed.

Pure. The fault says the status; the quirk says how it is written. Without one it is written as OpenAI does.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

_HELP: Final = "https://platform.openai.com/account/api-keys"
_BEGIN_CHARS: Final = 8
_END_CHARS: Final = 4
"""Of a key, beside the mask."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The contents of an error body."""

    message: str
    status: int
    key: str
    """The key that the request came with."""


def openai(failure: Failure, *, code: str | None = None, kind: str | None = None) -> dict[str, Any]:
    """As OpenAI writes it."""
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}


def _openai_body(failure: Failure) -> bytes:
    return _json(openai(failure))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _quota(failure: Failure) -> bytes:
    quota = Failure("You exceeded your current quota, please check your plan.", failure.status, failure.key)
    return _json(openai(quota, code="insufficient_quota", kind="insufficient_quota"))


def _context(failure: Failure) -> bytes:
    length = Failure("This model's maximum context length is 8192 tokens.", failure.status, failure.key)
    return _json(openai(length, code="context_length_exceeded", kind="invalid_request_error"))


def _detail(failure: Failure) -> dict[str, Any]:
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": failure.message}]}


def _with_key(shown: Callable[[str], str]) -> Callable[[Failure], bytes]:
    def body(failure: Failure) -> bytes:
        message = f"Incorrect API key provided: {shown(failure.key)}. You can find your API key at {_HELP}."
        return _json(openai(Failure(message, failure.status, ""), code="invalid_api_key"))

    return body


def _masked(key: str) -> str:
    return f"{key[:_BEGIN_CHARS]}{'*' * 8}{key[-_END_CHARS:]}"


ERROR_BODIES: Final[Mapping[str, Callable[[Failure], bytes]]] = {
    "gzip_error": lambda failure: gzip.compress(_openai_body(failure)),
    "ollama_error": lambda failure: _json({"error": failure.message}),
    "gemini_error": lambda failure: _json(
        [{"error": {"code": failure.status, "message": failure.message, "status": "INVALID_ARGUMENT"}}]
    ),
    "fastapi_error": lambda failure: _json(_detail(failure)),
    "mistral_error": lambda failure: _json({"object": "error", "message": _detail(failure), "type": "x"}),
    "minimax_error": lambda failure: _json({"base_resp": {"status_code": 1004, "status_msg": failure.message}}),
    "cloudflare_error": lambda failure: _json(
        {"success": False, "errors": [{"code": 10000, "message": failure.message}], "result": None}
    ),
    "plain_error": lambda failure: failure.message.encode(),
    "html_error": lambda failure: f"<html><h1>{failure.message}</h1></html>".encode(),
    "empty_error": lambda _: b"",
    "quota": _quota,
    "context": _context,
    "key_whole": _with_key(lambda key: key),
    "key_part": _with_key(lambda key: key[:-_END_CHARS]),
    "key_masked": _with_key(_masked),
}
_TYPES: Final = {"plain_error": b"text/plain", "html_error": b"text/html", "empty_error": b"text/plain"}


def error_body(quirks: tuple[str, ...], failure: Failure) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The body of the response, and the headers that say what it is."""
    # OpenAI repeats the key that it refuses, with its middle masked.
    default = "key_masked" if failure.status == HTTPStatus.UNAUTHORIZED else ""
    quirk = next((quirk for quirk in quirks if quirk in ERROR_BODIES), default)
    headers = [(b"content-type", _TYPES.get(quirk, b"application/json"))]
    if quirk == "gzip_error":
        headers.append((b"content-encoding", b"gzip"))
    return ERROR_BODIES.get(quirk, _openai_body)(failure), headers
