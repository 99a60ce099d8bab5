"""Owns the shape of a failure on OpenAI's wires: `{"error": {message, type, param, code}}`.

Pure. `code` is ours (PROTOCOL.md); status and `type` are the nearest that the SDKs know.
"""

from collections.abc import Mapping
from typing import Any, Final

from outlive.shared.model.codec import encode_json

Failure = dict[str, Any]

_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

_STATUSES: Final = {
    "upstream_rate_limited": 429,
    "upstream_refused": 400,
    "upstream_timeout": 504,
    "deadline_exceeded": 504,
    "upstream_connection": 502,
    "upstream_unavailable": 502,
    "upstream_error": 502,
    "upstream_protocol": 502,
    "upstream_truncated": 502,
    "upstream_interrupted": 502,
    # The key is the server's, not the caller's: 401 would make the caller check its own.
    "upstream_auth": 502,
    "worker_lost": 503,
    "worker_shutdown": 503,
    "capacity": 503,
    "model_not_found": 404,
    "cancelled": 409,
}
"""The statuses for requests that wait for the whole answer; all other codes are 500."""

_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def status_of(code: str) -> int:
    """The HTTP status for a generation that failed with this code."""
    return _STATUSES.get(code, 500)


def failure(status: int, code: str, message: str, param: str | None = None) -> Failure:
    """The body of a response whose status is not 200."""
    kind = _TYPES.get(status, _INVALID if 400 <= status < 500 else _SERVER)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def failed(terminal: Mapping[str, Any]) -> Failure:
    """The failure in a generation's `failed` event."""
    return failure(status_of(terminal["code"]), terminal["code"], terminal["message"])


def cancelled() -> Failure:
    return failure(status_of("cancelled"), "cancelled", "The answer was cancelled.")


def cut_short(message: str, code: str) -> bytes:
    """A frame that is not in the log. Both SDKs raise an error for it; a plain end would look like success to them."""
    return b"event: error\ndata: " + encode_json(failure(503, code, message)) + b"\n\n"
