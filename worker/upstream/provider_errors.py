"""Owns the translation of a provider's failures into `UpstreamRefused` and `UpstreamBroken`.

The one question is whether asking again can help. Codes are stable (PROTOCOL.md, Failure codes).
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

_PASSING_STATUS: Final = frozenset({408, 409, 429})
_MESSAGE_CHARS: Final = 500
# Providers repeat the key they refuse, whole or in part ("Incorrect API key provided: sk-ab***yz").
_KEY: Final = re.compile(
    r"\bBearer\s+[\w.*~+/=-]{6,}"  # as sent
    r"|\b(?:sk|pk|gsk|xai|hf|r8|api|key)[-_][\w*.-]{4,}"  # by the providers' prefixes
    r"|\bAIza[\w*-]{4,}"  # Google's
    r"|\b(?=\w*\d)\w{32,}",  # and whatever else is long and no word
    re.IGNORECASE,
)


@contextmanager
def translated_failures() -> Iterator[None]:
    """Raise the SDK's exceptions, and those it lets through, as ours."""
    try:
        yield
    except (openai.APIError, httpx2.HTTPError) as error:
        raise translate(error) from error


def translate(error: Exception) -> UpstreamError:
    """Our word for one failure of the SDK."""
    if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, httpx2.ConnectTimeout):
        return UpstreamBroken("upstream_timeout", "The provider did not answer in time.")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return UpstreamBroken("upstream_connection", "The connection to the provider failed or broke off.")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APIError):
        return UpstreamBroken("upstream_error", _safe(error.message))
    return UpstreamBroken("upstream_protocol", "The provider sent something that is not a chat completion stream.")


def not_a_stream(content_type: str, body: bytes) -> UpstreamBroken:
    """Our word for an answer 200 that is something else than events."""
    try:
        told = decode_json(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and (error := told.get("error")):
        return told_error(error)
    return UpstreamBroken("upstream_protocol", f"The provider answered with {content_type}, not with a stream.")


def told_error(error: Any) -> UpstreamBroken:
    """Our word for what a provider put under `error`, where an answer was to be."""
    message = error.get("message") if isinstance(error, dict) else error
    return UpstreamBroken("upstream_error", _safe(str(message or "The provider answered with an error.")))


def _of_status(error: openai.APIStatusError) -> UpstreamError:
    status, message = error.status_code, f"The provider answered {error.status_code}: {_safe(_said(error))}"
    if status == 429:
        return UpstreamBroken("upstream_rate_limited", message, retry_after_s=retry_after_s(error.response.headers))
    if status in _PASSING_STATUS or status >= 500:
        return UpstreamBroken("upstream_unavailable", message, retry_after_s=retry_after_s(error.response.headers))
    if status in (401, 403):
        return UpstreamRefused("upstream_auth", message)
    return UpstreamRefused("upstream_refused", message)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks us to wait (RFC 9110, 10.2.3: a number or a date)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        return _until(value)


def _until(date: str) -> float | None:
    """The provider's date against our clock: off by the skew, which only shifts a pause."""
    parsed = email.utils.parsedate_tz(date)
    try:
        return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else None
    except (ValueError, OverflowError):
        return None


def _said(error: openai.APIStatusError) -> str:
    body: Any = error.body
    found = body.get("message") if isinstance(body, dict) else None
    return str(found or error.message)


def _safe(message: str) -> str:
    return _KEY.sub("[key]", message)[:_MESSAGE_CHARS]
