"""A provider's stream as chunks, and what in it is no chunk."""

from typing import Any

import pytest

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.worker.upstream.chunks import DONE, Read, chunks_of

pytestmark = pytest.mark.anyio


def _body(*events: bytes) -> Read:
    return _bytes(*(b"data: " + event + b"\n\n" for event in events))


def _bytes(*parts: bytes) -> Read:
    pieces = iter(parts)

    async def read() -> bytes:
        return next(pieces, b"")

    return read


async def _read(*events: bytes) -> list[Any]:
    return [chunk async for chunk in chunks_of(_body(*events))]


A, B = {"choices": [], "n": 1}, {"choices": [], "n": 2}
_A, _B = b'{"choices": [], "n": 1}', b'{"choices": [], "n": 2}'
_WHOLE = b'{"object": "chat.completion", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'


async def test_chunks_end_with_the_providers_last_word() -> None:
    """What follows is read, so that the socket can be used again, and passed over."""
    assert await _read(_A, _B, b"[DONE]", _A) == [A, B, DONE]


@pytest.mark.rule("R15")
async def test_what_pythons_parser_takes_is_taken() -> None:
    """Half an emoji, which orjson refuses."""
    assert (await _read(rb'{"choices": [], "a": "\ud83d"}'))[0]["a"] == "\ud83d"
    assert len(await _read(b'{"choices": [], "logprob": NaN}')) == 1


@pytest.mark.parametrize(
    "event", [b'{"half', b'{"a": "\xff"}', b"[" * 100_000, b'{"a": NaN, "b": ' + b"9" * 5_000 + b"}"]
)
async def test_what_cannot_be_parsed_is_the_providers_fault(event: bytes) -> None:
    """All that a JSON parser may raise, after what came before."""
    chunks = chunks_of(_body(_A, event))
    assert await anext(chunks) == A
    with pytest.raises(UpstreamBroken) as caught:
        await anext(chunks)
    assert caught.value.failed_code == "upstream_protocol"


@pytest.mark.parametrize(
    ("event", "kind", "code", "message"),
    [
        (b'{"error": {"message": "no credit"}}', UpstreamBroken, "upstream_error", "no credit"),
        (b'{"error": "said"}', UpstreamBroken, "upstream_error", "said"),
        (b'{"error": {"code": 7}}', UpstreamBroken, "upstream_error", "7"),
        (b'{"error": {"code": 400, "message": "too long"}}', UpstreamRefused, "upstream_refused", "too long"),
        (b'{"error": {"code": "401", "message": "key"}}', UpstreamRefused, "upstream_auth", "key"),
        (b'{"error": {"type": "invalid_request_error", "message": "x"}}', UpstreamRefused, "upstream_refused", "x"),
        (b'[{"error": {"status": "INVALID_ARGUMENT", "message": "x"}}]', UpstreamRefused, "upstream_refused", "x"),
        (b'{"error": {"code": "insufficient_quota", "message": "x"}}', UpstreamRefused, "upstream_refused", "x"),
        (b'{"error": {"code": 429, "message": "slow"}}', UpstreamBroken, "upstream_rate_limited", "slow"),
        (
            b'{"code": 11200, "message": "AppIdNoAuthError", "sid": "x"}',
            UpstreamBroken,
            "upstream_error",
            "AppIdNoAuth",
        ),
        (b'{"base_resp": {"status_code": 1004, "status_msg": "login"}}', UpstreamBroken, "upstream_error", "login"),
        (
            b'{"success": false, "errors": [{"code": 7009, "message": "no model"}]}',
            UpstreamBroken,
            "upstream_error",
            "no model",
        ),
        (b"Number of choices must be greater than 0.", UpstreamBroken, "upstream_error", "Number of choices"),
    ],
)
async def test_an_error_inside_the_stream_is_raised(
    event: bytes, kind: type[UpstreamError], code: str, message: str
) -> None:
    """As the provider told it, in whatever shape. A code inside counts as a status does."""
    with pytest.raises(UpstreamError, match=message) as caught:
        await _read(_A, event)
    assert (type(caught.value), caught.value.failed_code) == (kind, code)


@pytest.mark.parametrize(
    "sign", [b"{}", b"null", b"ping", b"[PING]", b"keep-alive", b": heartbeat", b'{"type": "ping"}', b'""', b"1"]
)
@pytest.mark.rule("R15")
async def test_what_only_shows_life_is_passed_over(sign: bytes) -> None:
    """Pings of gateways and other protocols, before, between and behind."""
    assert await _read(sign, _A, sign, _B, sign, b"[DONE]") == [A, B, DONE]


@pytest.mark.rule("R15")
async def test_an_event_of_another_protocol_is_passed_over() -> None:
    """Its name says so; an error has a name too."""
    side = b"event: response.created\ndata: not json\n\n"
    assert [one async for one in chunks_of(_bytes(side, b"data: " + _A + b"\n\n"))] == [A]
    with pytest.raises(UpstreamBroken, match="Compute"):
        [one async for one in chunks_of(_bytes(b'event: error\ndata: {"error": {"message": "Compute error"}}\n\n'))]


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (_WHOLE, 1), (b"\xef\xbb\xbf\n " + _WHOLE + b"\n", 1), (_WHOLE.replace(b", ", b",\n  "), 1),
        (_WHOLE + b"\n\ndata: [DONE]\n\n", 1), (_A + b"\n" + _B + b"\n", 2), (b"[" + _A + b"," + _B + b"]", 2),
        (b"\n\n\ndata: " + _A + b"\n\n", 1), (b"data: " + _A, 1), (b": hi\n\ndata: " + _A + b"\n\n", 1),
    ],
)  # fmt: skip
@pytest.mark.rule("R15")
async def test_the_first_bytes_say_what_a_body_is(body: bytes, count: int) -> None:
    """A stream, a whole completion, one value a line, wherever the network cuts it and whatever its type says."""
    for size in (1, 7, len(body)):
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = [one async for one in chunks_of(_bytes(*parts), "text/html") if one is not DONE]
        assert len(chunks) == count
        assert all("choices" in chunk for chunk in chunks)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"), (b"404 page not found",
        "404 page not found"),
        (b'{"error": {"message": "quota exceeded", "code": 403}}', "quota exceeded"), (b'{"detail": "Not Found"}',
        "Not Found"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_answer_says_why(body: bytes, message: str) -> None:
    """A page, a sentence, an error without an event around it."""
    with pytest.raises(UpstreamError, match=message):
        [one async for one in chunks_of(_bytes(body), "text/html")]
