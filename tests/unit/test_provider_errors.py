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
from outlive.worker.upstream.provider_errors import not_a_stream, retry_after_s, translate, translated_failures

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
    with pytest.raises(UpstreamBroken) as caught, translated_failures():
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
        (b'{"error": {"message": "no credit for sk-abcdef"}}', "upstream_error", "no credit for [key]"),
        (b'{"error": "said"}', "upstream_error", "said"),
        (b'{"error": {"code": 7}}', "upstream_error", "error"),
        (b'{"choices": []}', "upstream_protocol", "application/json"),
        (b"[]", "upstream_protocol", "application/json"),
        (b"\xff<html>", "upstream_protocol", "application/json"),
        (b"", "upstream_protocol", "application/json"),
    ],
)
def test_a_body_that_is_no_stream_may_say_why(body: bytes, word: str, message: str) -> None:
    """Some providers answer 200 and put the error into the body."""
    error = not_a_stream("application/json", body)
    assert error.failed_code == word
    assert message in error.message


def test_our_own_mistakes_are_not_the_providers() -> None:
    """A TypeError of ours stays one."""
    with pytest.raises(TypeError), translated_failures():
        raise TypeError


@pytest.mark.parametrize(
    "message",
    [
        "Incorrect API key provided: sk-ab12cdEFgh34. You can find yours at ...",
        "Incorrect API key provided: sk-proj-****************yz12.",
        "Bearer abcdef.123456 is not valid", "no such token: SK-ABCDEFGH", "key-0123456789abcdef was revoked",
        "wrong token gsk_0123456789abcdef",
        "wrong token xai-0123456789abcdef",
        "wrong token AIzaSyA-0123456789abcdef",
    ],
)  # fmt: skip
def test_the_key_a_provider_repeats_is_not_shown_to_viewers(message: str) -> None:
    """Whole or in part, in a status or in the stream."""
    for error in (
        translate(_status(401, {"error": {"message": message}})),
        translate(openai.APIError(message, _REQUEST, body=None)),
    ):
        assert "[key]" in error.message
        for secret in ("ab12", "yz12", "abcdef", "ABCDEFGH", "0123456789"):
            assert secret not in error.message


@pytest.mark.parametrize(
    "message",
    [
        "Invalid key format", "this key expired yesterday",
        "the task-based model is overloaded",
    ],
)  # fmt: skip
def test_plain_words_are_not_taken_for_a_key(message: str) -> None:
    """Whoever must mend it can read what is wrong."""
    assert message in translate(_status(401, {"error": {"message": message}})).message


def test_a_message_without_end_is_cut() -> None:
    """A provider's HTML page is no message."""
    assert len(translate(_status(500, {"error": {"message": "x" * 10_000}})).message) < 600


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
    wait_s = retry_after_s({"retry-after": value})
    assert wait_s is None or wait_s >= 0


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_travels_with_the_error(code: int) -> None:
    """Found whatever its spelling in the headers."""
    error = translate(_status(code, headers={"Retry-After": "7"}))
    assert isinstance(error, UpstreamBroken)
    assert error.retry_after_s == 7.0
