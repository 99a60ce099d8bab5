"""Owns the translation of a provider's failures into `UpstreamRefused` and `UpstreamBroken`.

What matters is whether another request can help. Codes are stable (PROTOCOL.md, Failure codes).
"""

import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx2
import openai

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.shared.model.codec import decode_json

_TRANSIENT_STATUS: Final = frozenset({408, 409, 429})
_MESSAGE_CHARS: Final = 500
# Providers repeat the key they refuse, whole or in part ("Incorrect API key provided: sk-ab***yz").
_KEY: Final = re.compile(
    r"\bBearer\s+[\w.*~+/=-]{6,}"  # as we send them
    r"|\b(?:sk|pk|gsk|xai|hf|r8|api|key)[-_][\w*.-]{4,}"  # by the providers' prefixes
    r"|\bAIza[\w*-]{4,}"  # Google's
    r"|\b(?=\w*\d)\w{32,}",  # and anything else that is long and is not a word
    re.IGNORECASE,
)


@contextmanager
def translated_failures() -> Iterator[None]:
    """Raise the exceptions of the SDK, and those that it lets through, as ours."""
    try:
        yield
    except (openai.APIError, httpx2.HTTPError) as error:
        raise translate(error) from error


def translate(error: Exception) -> UpstreamError:
    """One failure of the SDK as ours."""
    if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, httpx2.ConnectTimeout):
        return UpstreamBroken("upstream_timeout", "The provider did not respond in time.")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return UpstreamBroken("upstream_connection", "The connection to the provider failed or broke off.")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APIError):
        return UpstreamBroken("upstream_error", _safe(error.message))
    return UpstreamBroken("upstream_protocol", "The provider sent something that is not a chat completion stream.")


def not_a_stream(content_type: str, body: bytes) -> UpstreamBroken:
    """A response 200 that is not an event stream, as our error."""
    try:
        content = decode_json(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and (error := content.get("error")):
        return streamed_error(error)
    return UpstreamBroken("upstream_protocol", f"The provider responded with {content_type}, not with a stream.")


def streamed_error(error: Any) -> UpstreamBroken:
    """What a provider put under `error` in place of an answer, as our error."""
    message = error.get("message") if isinstance(error, dict) else error
    return UpstreamBroken("upstream_error", _safe(str(message or "The provider responded with an error.")))


def _of_status(error: openai.APIStatusError) -> UpstreamError:
    status, message = error.status_code, f"The provider responded {error.status_code}: {_safe(_message(error))}"
    if status == 429:
        return UpstreamBroken("upstream_rate_limited", message, retry_after_s=retry_after_s(error.response.headers))
    if status in _TRANSIENT_STATUS or status >= 500:
        return UpstreamBroken("upstream_unavailable", message, retry_after_s=retry_after_s(error.response.headers))
    if status in (401, 403):
        return UpstreamRefused("upstream_auth", message)
    return UpstreamRefused("upstream_refused", message)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that the provider asks us to wait (RFC 9110, 10.2.3: a number or a date)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        return _until(value)


def _until(date: str) -> float | None:
    """From our clock to the provider's date: wrong by the skew, which only changes the length of a pause."""
    parsed = email.utils.parsedate_tz(date)
    try:
        return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else None
    except (ValueError, OverflowError):
        return None


def _message(error: openai.APIStatusError) -> str:
    body: Any = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error.message)


def _safe(message: str) -> str:
    return _KEY.sub("[key]", message)[:_MESSAGE_CHARS]
