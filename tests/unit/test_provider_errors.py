"""The SDK's exceptions, built by hand as the SDK builds them, in our words."""

import email.utils
import json
import time

import httpx2
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outlive.shared.errors import UpstreamBroken, UpstreamRefused
from outlive.worker.upstream.provider_errors import (
    ConnectionFailed,
    not_an_answer,
    retry_after_s,
    translate,
    translated_failures,
)

_REQUEST = httpx2.Request("POST", "http://provider/v1/chat/completions")
_CLIENT = openai.OpenAI(api_key="none", base_url="http://provider/v1")


def _status(code: int, body: object = None, headers: dict[str, str] | None = None) -> openai.APIStatusError:
    content = b"" if body is None else json.dumps(body).encode()
    response = httpx2.Response(code, request=_REQUEST, headers=headers, content=content)
    return _CLIENT._make_status_error_from_response(response)  # the SDK's own way from a response to its class


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (400, UpstreamRefused, "upstream_refused"), (401, UpstreamRefused, "upstream_auth"),
        (402, UpstreamRefused, "upstream_refused"), (403, UpstreamRefused, "upstream_auth"),
        (404, UpstreamRefused, "upstream_refused"), (408, UpstreamBroken, "upstream_unavailable"),
        (409, UpstreamBroken, "upstream_unavailable"), (413, UpstreamRefused, "upstream_refused"),
        (422, UpstreamRefused, "upstream_refused"), (429, UpstreamBroken, "upstream_rate_limited"),
        (500, UpstreamBroken, "upstream_unavailable"), (503, UpstreamBroken, "upstream_unavailable"),
        (529, UpstreamBroken, "upstream_unavailable"),
    ],
)  # fmt: skip
def test_a_status_says_whether_asking_again_can_help(code: int, kind: type[Exception], word: str) -> None:
    """Refused is for good, broken is worth another try."""
    error = translate(_status(code, {"error": {"message": "because"}}))
    assert (type(error), error.failed_code) == (kind, word)
    assert error.retryable == (kind is UpstreamBroken)
    assert str(code) in error.message
    assert "because" in error.message


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (openai.APITimeoutError(_REQUEST), "upstream_timeout"),
        (openai.APIConnectionError(request=_REQUEST), "upstream_connection"),
        (httpx2.ReadError("reset"), "upstream_connection"),
        (httpx2.RemoteProtocolError("peer closed"), "upstream_connection"),
        (openai.APIError("overloaded", _REQUEST, body={"message": "overloaded"}), "upstream_error"),
    ],
)
def test_everything_short_of_a_status_may_pass(error: Exception, word: str) -> None:
    """Connections, silence, an error inside the stream."""
    with pytest.raises(UpstreamBroken) as caught, translated_failures("main", None):
        raise error
    assert caught.value.failed_code == word
    assert caught.value.__cause__ is error


def test_who_cannot_be_reached_in_time_was_not_reached() -> None:
    """The SDK calls that a timeout; a name server that hangs is no silent provider."""
    error = openai.APITimeoutError(_REQUEST)
    error.__cause__ = httpx2.ConnectTimeout("slow")
    assert translate(error).failed_code == "upstream_connection"


@pytest.mark.parametrize(
    ("body", "word", "message"),
    [
        (b'{"error": {"message": "no credit"}}', "upstream_error", "no credit"),
        (b'{"error": "said"}', "upstream_error", "said"),
        (b"404 page not found", "upstream_error", "404 page not found"),
        (b"\xff<html><title>Login</title>", "upstream_protocol", "Login"),
        (b"", "upstream_protocol", "text/html"),
    ],
)
def test_a_body_that_is_not_an_answer_may_say_why(body: bytes, word: str, message: str) -> None:
    """Some providers answer 200 and put the error into the body; a proxy sends its page."""
    error = not_an_answer("text/html", body if not body.startswith(b"\xff") else body[1:])
    assert error.failed_code == word
    assert message in error.message


def test_a_connection_that_fails_says_of_which_upstream_and_why() -> None:
    """Refused, unknown host, TLS, a proxy: each has its own sentence, which the transport knows."""
    error = openai.APIConnectionError(request=_REQUEST)
    error.__cause__ = ConnectionFailed("refused the connection at host:1. Is it running there?")
    with (
        pytest.raises(UpstreamBroken, match="The upstream `main` refused the connection at host:1") as caught,
        translated_failures("main", None),
    ):
        raise error
    assert caught.value.failed_code == "upstream_connection"


@pytest.mark.parametrize(
    ("status", "body", "headers", "is_final"),
    [
        (503, {"error": "x"}, {"x-should-retry": "false"}, True),
        (400, {"error": "x"}, {"x-should-retry": "true"}, False),
        (429, {"error": {"code": "insufficient_quota", "message": "x"}}, {}, True),
        (429, {"error": {"code": "rate_limit_exceeded", "message": "x"}}, {}, False),
        (400, {"error": {"code": "context_length_exceeded", "message": "x"}}, {}, True),
        (402, {"error": "x"}, {}, True),
    ],
)
def test_what_cannot_change_is_asked_once(status: int, body: object, headers: dict[str, str], is_final: bool) -> None:
    """The provider's own advice first; no money is no matter of waiting, whatever status says so."""
    assert isinstance(translate(_status(status, body, headers)), UpstreamRefused) == is_final


def test_milliseconds_to_wait_are_read() -> None:
    """OpenAI and Azure say them beside Retry-After, and mean them."""
    assert retry_after_s({"retry-after-ms": "1500", "retry-after": "1"}) == 1.5


def test_our_own_mistakes_are_not_the_providers() -> None:
    """A TypeError of ours stays one."""
    with pytest.raises(TypeError), translated_failures("main", None):
        raise TypeError


def test_a_message_without_end_is_cut() -> None:
    """A provider's HTML page is no message."""
    with pytest.raises(UpstreamBroken) as caught, translated_failures("main", None):
        raise _status(500, {"error": {"message": "x" * 10_000}})
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("body", [None, "text", ["a"], {"error": None}, {"error": "said"}, {"message": 7}])
def test_any_body_makes_some_message(body: object) -> None:
    """Not every provider follows the SDK's idea of an error."""
    assert translate(_status(503, body)).message


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("", None), ("soon", None), ("Fri, 32 Foo 2026 00:00:00", None)],
)
def test_retry_after_is_seconds(value: str, expected: float | None) -> None:
    """What cannot be read was not said."""
    assert retry_after_s({"retry-after": value}) == expected


def test_retry_after_is_a_date() -> None:
    """RFC 9110 allows both."""
    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 27 < (retry_after_s({"retry-after": later}) or 0) <= 30
    assert retry_after_s({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0.0
    assert retry_after_s({}) is None


@example("0 JAN 10000 0:0")
@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ (Jan|Feb|Nov) \d+ \d+:\d+:\d+ [+-]?\w*"))
def test_any_retry_after_is_a_time_or_nothing(value: str) -> None:
    """A provider's header cannot break an attempt."""
    found = retry_after_s({"retry-after": value})
    assert found is None or found >= 0


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_travels_with_the_error(code: int) -> None:
    """Found whatever its spelling in the headers."""
    error = translate(_status(code, headers={"Retry-After": "7"}))
    assert isinstance(error, UpstreamBroken)
    assert error.retry_after_s == 7.0
