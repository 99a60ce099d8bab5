"""Owns what follows from a provider's failure: refused for good, or broken and worth another request.

Codes are stable (PROTOCOL.md, Failure codes). What a provider says is read in `error_bodies.py`; its sentences are
repeated without the key that was sent (`key_censor.py`).
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
from outlive.worker.upstream.error_bodies import ProviderError, error_in, read_body, read_error
from outlive.worker.upstream.key_censor import cut_key

MESSAGE_CHARS: Final = 500
_PASSING: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may succeed."""
_AUTH: Final = frozenset({401, 403})

_STATUS_OF_WORD: Final = {
    "invalid_api_key": 401, "authentication_error": 401, "unauthorized": 401, "permission_error": 403,
    "permission_denied": 403, "forbidden": 403, "model_not_found": 404, "not_found_error": 404,
    "model_not_available": 404,
    "invalid_request_error": 400, "invalid_request": 400, "bad_request": 400, "bad_request_error": 400,
    "context_length_exceeded": 400, "exceed_context_size_error": 400, "string_above_max_length": 400,
    "validation_error": 422, "invalid_prompt": 400, "content_policy_violation": 400, "unsupported_value": 400,
    "unsupported_parameter": 400, "tool_use_failed": 400, "request_too_large": 413, "rate_limit_exceeded": 429,
    "rate_limit_error": 429, "rate_limited": 429, "too_many_requests": 429, "overloaded_error": 529, "overloaded": 529,
    "server_error": 500, "internal_error": 500, "api_error": 500, "internal_server_error": 500,
    "service_unavailable": 503, "timeout": 504, "timeout_error": 504,
}  # fmt: skip
"""For errors without a status: those in a stream that began with 200."""
_HOPELESS: Final = frozenset({
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits",
    "insufficient_balance",
    "credit_balance_too_low", "account_deactivated", "access_terminated", "model_not_found", "context_length_exceeded",
    "quota_exceeded", "insufficient_funds", "payment_required",
})  # fmt: skip
"""Codes that no waiting changes, whatever status they come with: OpenAI says 429 for an account without money."""


@contextmanager
def translated_failures(upstream: str, key: str | None) -> Iterator[None]:
    """Raise the SDK's exceptions, and those of the client below it, as ours, with the upstream's name."""
    try:
        yield
    except (openai.APIError, httpx2.HTTPError) as error:
        raise without_key(translate(error, upstream), key) from error
    except UpstreamError as error:
        raise without_key(error, key) from error.__cause__


def without_key(error: UpstreamError, key: str | None) -> UpstreamError:
    """The same error; its message does not hold the key."""
    error.args = (cut_key(error.message, key)[:MESSAGE_CHARS],)
    return error


def translate(error: Exception, upstream: str = "") -> UpstreamError:
    """Our word for one failure of the SDK or its HTTP client."""
    if isinstance(error, openai.APIStatusError):
        response = error.response
        reported = read_body(response.content) if response.content else read_error(error.body or "")
        return failure_of(reported, response.status_code, response.headers)
    cause = _root(error)
    if isinstance(cause, ConnectionFailed):
        return UpstreamBroken("upstream_connection", f"The upstream `{upstream}` {cause.sentence}")
    if isinstance(error, openai.APITimeoutError) and not isinstance(cause, httpx2.ConnectTimeout):
        return UpstreamBroken("upstream_timeout", f"The upstream `{upstream}` did not answer in time.")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return UpstreamBroken(
            "upstream_connection", f"The connection to the upstream `{upstream}` failed or broke off."
        )
    if isinstance(error, openai.APIError):
        return failure_of(read_error(error.body or error.message))
    return UpstreamBroken("upstream_protocol", "The provider sent something that is not a chat completion stream.")


class ConnectionFailed(httpx2.NetworkError):
    """A connection that was not made, or broke. `sentence` goes on behind the upstream's name."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(detail or sentence)
        self.sentence = sentence


def failure_of(
    reported: ProviderError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> UpstreamError:
    """What an error means. `status` is the response's; None for an error told inside an answer that began with 200."""
    words = [word.lower() for word in (reported.code, reported.type) if word]
    meant = (
        status or reported.status or next((_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD), None)
    )
    reason = reported.message or "no reason was given"
    message = (
        f"The provider answered {status}: {reason}"
        if status
        else reported.message or "The provider answered with an error."
    )
    message = message[: 2 * MESSAGE_CHARS]
    advice = (headers or {}).get("x-should-retry", "").lower()
    if advice == "false" or _HOPELESS.intersection(words) or _is_final(meant, advice):
        return UpstreamRefused("upstream_auth" if meant in _AUTH else "upstream_refused", message)
    wait_s = retry_after_s(headers or {})
    if meant == 429:
        return UpstreamBroken("upstream_rate_limited", message, retry_after_s=wait_s)
    return UpstreamBroken("upstream_unavailable" if status else "upstream_error", message, retry_after_s=wait_s)


def _is_final(status: int | None, advice: str) -> bool:
    if status is None or status >= 500 or status in _PASSING:
        return False
    return advice != "true"


def not_an_answer(content_type: str, body: bytes, wanted: str = "a stream") -> UpstreamError:
    """A response 200 that is not `wanted`: it may say why."""
    reported = read_body(body)
    if reported.message:
        return failure_of(reported)
    kind = content_type or "something without a type"
    title = re.search(rb"<title[^>]*>([^<]{1,200})", body, re.IGNORECASE)
    page = f" (a page with the title “{title[1].decode('utf-8', 'replace').strip()}”)" if title else ""
    return UpstreamBroken(
        "upstream_protocol", f"The provider answered with {kind}{page}, not with {wanted}. Is the base URL right?"
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks us to wait: OpenAI's milliseconds, or RFC 9110, 10.2.3, a number or a date."""
    try:
        return max(0.0, float(headers.get("retry-after-ms", "")) / 1000)
    except ValueError:
        pass
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


def _root(error: BaseException) -> BaseException:
    seen: Any = error
    while seen.__cause__ is not None:
        seen = seen.__cause__
        if isinstance(seen, ConnectionFailed):
            break
    return seen  # type: ignore[no-any-return]  # every cause is an exception


__all__ = [
    "ConnectionFailed", "error_in", "failure_of", "not_an_answer", "retry_after_s", "translate",
    "translated_failures", "without_key",
]  # fmt: skip
