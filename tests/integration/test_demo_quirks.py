"""The quirks of the demo model, on the wire. Each was seen at a real provider."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from outlive.deploy import demo_model
from outlive.deploy.demo_model.quirks.chunk_rewrites import SIGNATURE
from outlive.deploy.demo_model.quirks.names import ALIVE, QUIRKS
from tests.support.raw_http import Response, request
from tests.support.stack import ModelProcess, demo

pytestmark = pytest.mark.anyio

KEY: Final = "sk-quirks-0123456789"
PARAMETERS: Final = {"type": "object", "properties": {"n": {"const": 10}}, "required": ["n"]}
TOOL: Final = {"type": "function", "function": {"name": "count", "parameters": PARAMETERS}}

# The text is `You` and ` asked:`, the reasoning `The` and ` questi`, the call `count({"n": 10})`.
SENT: Final[dict[str, list[bytes]]] = {
    "numbers": [b'"arguments":1}', b'"arguments":0}'],
    "parts": [
        b'"content":[{"type":"thinking","thinking":[{"type":"text","text":"The"}]}]',
        b'"content":[{"type":"text","text":"You"},{"type":"reference","reference_ids":[1]}]',
    ],
    "summary_parts": [
        b'"content":[{"type":"reasoning","summary":[{"type":"summary_text","text":"The"}]}]',
        b'"content":[{"type":"text","text":"You"}]',
    ],
    "object_content": [b'"content":{"type":"text","text":"You"}'],
    "object_reasoning": [b'"reasoning_content":{"text":"The"}', b'"reasoning_content":{"signature":"'],
    "reasoning": [b'"delta":{"reasoning":"The"}'],
    "reasoning_text": [b'"delta":{"content":null,"reasoning_text":"The"}'],
    "both_reasonings": [b'"delta":{"reasoning":"The","reasoning_content":"The"}'],
    "details": [
        b'"delta":{"reasoning":"The","reasoning_details":[{"type":"reasoning.text","text":"The"',
        b'"signature":"c2lnbmF0","index":0}',
        b'"signature":"%s","index":0}' % SIGNATURE.encode(),
        b'{"type":"reasoning.encrypted","data":"%s"' % SIGNATURE.encode(),
    ],
    "details_only": [b'"delta":{"reasoning_details":[{"type":"reasoning.text","text":"The"'],
    "thinking_blocks": [
        b'"thinking_blocks":[{"type":"thinking","thinking":"The","signature":null}]',
        b'"thinking_blocks":[{"type":"thinking","thinking":"","signature":"%s"}]' % SIGNATURE.encode(),
    ],
    "images": [b'"delta":{"content":"","images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,'],
    "image_parts": [b'"content":[{"type":"image_url",', b',{"type":"text","text":"You"}]'],
    "unknown_member": [b'"delta":{"new_kind_of_content":"You"}'],
    "citations": [b'"citations":["https://', b'"annotations":[{"type":"url_citation"'],
    "fence": [b'"content":"```json\\n"', b'"content":"\\n```"'],
    "call_signature": [b'"arguments":""},"extra_content":{"google":{"thought_signature":"'],
    "late_signature": [b'"tool_calls":[{"index":0,"extra_content":{"google":{"thought_signature":"'],
    "function_call": [
        b'"function_call":{"name":"count","arguments":""}',
        b'"function_call":{"arguments":"{\\"n\\": 10}"}',
        b'"finish_reason":"function_call"',
    ],
    "custom_tool": [b'"type":"custom","custom":{"name":"count","input":"ec"}', b'"custom":{"input":"ho hi"}'],
    "whole_calls": [b'"function":{"name":"count","arguments":"{\\"n\\": 10}"}'],
    "object_arguments": [b'"arguments":{"n":10}'],
    "no_arguments": [b'"arguments":""}}]},"finish_reason":null}]}\n\ndata: {"id"'],
    "null_arguments": [b'"name":"count","arguments":null'],
    "name_pieces": [b'"function":{"name":"co","arguments":""}', b'"function":{"name":"unt","arguments":""}'],
    "null_members": [b'"id":null,"type":null,"index":0,"function":{"name":null,', b'{"index":0,"function":null}'],
    "index_jump": [b'"tool_calls":[{"index":3,"id":"', b'"tool_calls":[{"index":0,"function":'],
    "string_index": [b'"tool_calls":[{"index":"0"'],
    "same_id": [b'"id":"call_0","type":"function"'],
    "number_id": [b'"id":17,"type":"function"'],
    "long_id": [b"A" * 5_000],
    "empty_calls": [b'"delta":{"tool_calls":[],"content":"You"}'],
    "reason_everywhere": [b'"content":"You"},"finish_reason":"stop"'],
    "early_stop": [b'"reasoning_content":"The"},"finish_reason":"stop"', b'"content":"You"},"finish_reason":null'],
    "camel": [b'"finish_reason":null,"finishReason":"tool_calls"'],
    "finish_object": [b'"finish_reason":{"type":"tool_calls","matched":2}'],
    "no_reason": [b'"choices":[],"usage":', b"data: [DONE]"],
    "reason_on_last": [b'}"}}]},"finish_reason":"tool_calls"'],
    "usage_input_output": [b'"usage":{"input_tokens":4,"output_tokens":'],
    "usage_in_choice": [b'"finish_reason":"tool_calls","usage":{"prompt_tokens":4'],
    "usage_zero_first": [b'"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'],
    "usage_cumulative": [b'"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}'],
    "usage_minus_one": [b'"usage":{"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-1'],
    "usage_zero": [b'"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0'],
    "usage_total_only": [b'"usage":{"total_tokens":'],
    "usage_list": [b'"usage":['],
    "usage_text": [b'"usage":{"prompt_tokens":"4"'],
    "usage_null_details": [b'"prompt_tokens_details":null'],
    "message": [b'data: {"id"', b'"message":{"role":"assistant","content":"You asked:"', b"data: [DONE]"],
    "message_beside": [b'"delta":{"content":" asked:"},"finish_reason":null,"message":{"role":"assistant","content":'],
    "whole": [b'"message":{"role":"assistant","content":"You asked:"'],
    "bare_whole": [b'"message":{"role":"assistant","content":"You asked:"', b"}\n\ndata: [DONE]\n\n"],
    "text": [b'"finish_reason":null,"text":"You"'],
    "choice_one": [b'"choices":[{"index":1,"delta":{"content":"You"}'],
    "azure": [b'"choices":[],"prompt_filter_results":', b'"content_filter_offsets":', b'"delta":null'],
    "groq": [b'"x_groq":{"id":"req_1","usage":{"prompt_tokens":4'],
    "nan": [b'"logprobs":{"x":-Infinity,"y":NaN}'],
    "pings": [b"data: {}\n\n", b"data: null\n\n", b"event: ping\ndata: keep-alive\n\n", b'"choices":null}\n\n'],
    "crlf": [b"}\r\n\r\ndata: [DONE]\r\n\r\n"],
    "run_on": [b"}\ndata: [DONE]\n\n"],
    "blank_lines": [b"\n\n\ndata: {"],
    "bom": [b"\xef\xbb\xbfdata: {"],
}
HEADS: Final = {
    "json_type": ("content-type", "application/json; charset=utf-8"),
    "html_type": ("content-type", "text/html; charset=UTF-8"),
    "plain_type": ("content-type", "text/plain"),
    "bytes_type": ("content-type", "application/octet-stream"),
    "whole": ("content-type", "application/json"),
    "encoding_none": ("content-encoding", "none"),
    "large_headers": ("content-security-policy", "a" * 9_000),
}
CALL: Final = {"id": "c", "type": "function", "function": {"name": "count", "arguments": "{}"}}
REFUSED: Final[dict[str, tuple[int, str, dict[str, Any]]]] = {
    "no_stream_options": (422, "stream_options", {"stream_options": {"include_usage": True}}),
    "no_developer_role": (400, "developer", {"messages": [{"role": "developer", "content": "Be short."}]}),
    "no_max_tokens": (400, "max_completion_tokens", {"max_tokens": 5}),
    "no_extras": (400, "Extra inputs", {"prompt_cache_key": "k"}),
    "no_nulls": (400, "null", {"temperature": None}),
    "wants_reasoning": (400, "reasoning_content", {"messages": [{"role": "assistant", "tool_calls": [CALL]}]}),
    "wants_signature": (400, "thought_signature", {"messages": [{"role": "assistant", "tool_calls": [CALL]}]}),
    "wants_content": (400, "must be a string", {"messages": [{"role": "assistant", "content": None}]}),
}
ERRORS: Final = {
    "gzip_error": (400, gzip.compress(b"")[:2]),
    "ollama_error": (404, b'{"error": "The demo model was asked to fail."}'),
    "gemini_error": (400, b'[{"error": {"code": 400, "message": "'),
    "fastapi_error": (422, b'{"detail": [{"type": "extra_forbidden"'),
    "mistral_error": (422, b'{"object": "error", "message": {"detail": ['),
    "minimax_error": ("json_error", b'{"base_resp": {"status_code": 1004, "status_msg": "'),
    "cloudflare_error": (403, b'{"success": false, "errors": [{"code": 10000, "message": "'),
    "plain_error": (404, b"The demo model was asked to fail."),
    "html_error": (500, b"<html><h1>The demo model"),
    "empty_error": (422, b""),
    "quota": (429, b'"code": "insufficient_quota"'),
    "context": (400, b'"code": "context_length_exceeded"'),
    "key_whole": (401, f"provided: {KEY}. ".encode()),
    "key_part": (401, f"provided: {KEY[:-4]}. ".encode()),
    "key_masked": (401, f"provided: {KEY[:8]}********{KEY[-4:]}. ".encode()),
}
CLAIMED_ELSEWHERE: Final = {"no_last_newline", "wants_accept", "no_telemetry", "redirect", "dies_on_reuse"}


@pytest.fixture(scope="module")
async def model(anyio_backend: str) -> AsyncIterator[ModelProcess]:
    """One model for all of them."""
    process = ModelProcess()
    await process.start()
    yield process
    await process.stop()


async def ask(
    model: ModelProcess,
    wishes: Mapping[str, object],
    *,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    path: str = "",
) -> Response:
    """The raw response to a request whose answer has reasoning, text and a call."""
    name = demo(**{"pace_s": 0, "tokens": 2, "reasoning": 2, "tools": 1} | dict(wishes))
    asked = {"model": name, "stream": True, "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOL]}
    sent = {"Authorization": f"Bearer {KEY}"} | dict(headers or {})
    url = f"{model.url}/v1{path}/chat/completions"
    return await request("POST", url, headers=list(sent.items()), body=asked | dict(body or {}))


WITH_USAGE: Final = {"stream_options": {"include_usage": True}}


def test_each_quirk_is_claimed_and_documented() -> None:
    """Nobody has to read the code to find one."""
    assert {*SENT, *HEADS, *REFUSED, *ERRORS, *CLAIMED_ELSEWHERE} == set(QUIRKS)
    assert demo_model.__doc__ is not None
    protocol = (Path(__file__).parents[2] / "shared" / "PROTOCOL.md").read_text()
    for text in (demo_model.__doc__, protocol):
        assert [quirk for quirk in QUIRKS if f"`{quirk}`" not in text] == []


@pytest.mark.parametrize("quirk", SENT)
async def test_a_quirk_of_the_stream_is_sent(model: ModelProcess, quirk: str) -> None:
    """Exactly these bytes are among those of the stream, in this order."""
    chars = {"chars": 1, "tokens": 0} if quirk == "numbers" else {}
    response = await ask(model, {"quirk": quirk, **chars}, body=WITH_USAGE)

    assert response.status == 200
    position = 0
    for piece in SENT[quirk]:
        position = response.body.find(piece, position)
        assert position >= 0, (piece, response.body)


@pytest.mark.parametrize("quirk", HEADS)
async def test_a_quirk_of_the_head_is_sent(model: ModelProcess, quirk: str) -> None:
    """The stream itself is a good one."""
    name, value = HEADS[quirk]
    response = await ask(model, {"quirk": quirk})

    assert response.headers[name] == value
    assert b"You" in response.body


@pytest.mark.parametrize("quirk", REFUSED)
async def test_a_request_is_refused_by_name(model: ModelProcess, quirk: str) -> None:
    """A server with this quirk refuses it, and answers another one."""
    status, word, body = REFUSED[quirk]
    refused, taken = await ask(model, {"quirk": quirk}, body=body), await ask(model, {"quirk": quirk})

    assert (refused.status, taken.status) == (status, 200)
    assert word in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("quirk", "status", "headers"),
    [
        ("no_telemetry", 403, {"User-Agent": "outlive/1", "X-Stainless-Lang": "python"}),
        ("no_telemetry", 403, {"User-Agent": "AsyncOpenAI/Python 2.0"}),
        ("no_telemetry", 200, {"User-Agent": "outlive/1"}),
        ("wants_accept", 406, {"Accept": "application/json"}),
        ("wants_accept", 200, {"Accept": "text/event-stream"}),
    ],
)
async def test_headers_are_refused(model: ModelProcess, quirk: str, status: int, headers: dict[str, str]) -> None:
    """As relays do that look at them."""
    assert (await ask(model, {"quirk": quirk}, headers=headers)).status == status


@pytest.mark.parametrize(
    "back",
    [
        {"tool_calls": [CALL | {"extra_content": {"google": {"thought_signature": SIGNATURE}}}]},
        {"tool_calls": [CALL], "reasoning_details": [{"type": "reasoning.encrypted", "data": SIGNATURE}]},
        {"tool_calls": [CALL], "thinking_blocks": [{"type": "thinking", "signature": SIGNATURE}]},
    ],
)
async def test_a_signature_that_comes_back_is_taken(model: ModelProcess, back: dict[str, Any]) -> None:
    """Wherever it was sent, and only if it is whole."""
    messages = {"messages": [{"role": "assistant", "content": "", **back}]}
    halved = json.loads(json.dumps(messages).replace(SIGNATURE, SIGNATURE[:8]))

    assert (await ask(model, {"quirk": "wants_signature"}, body=messages)).status == 200
    assert (await ask(model, {"quirk": "wants_signature"}, body=halved)).status == 400


@pytest.mark.parametrize("quirk", ERRORS)
async def test_an_error_has_its_shape(model: ModelProcess, quirk: str) -> None:
    """The fault says the status, the quirk how it is written."""
    fault, begin = ERRORS[quirk]
    response = await ask(model, {"fault": fault, "quirk": quirk})

    assert response.status == (200 if fault == "json_error" else fault)
    assert begin in response.body
    if quirk == "gzip_error":
        assert response.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(response.body))["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "code", "frame"),
    [
        ("error", "401", b'"type": "server_error", "code": 401}}\n\ndata: [DONE]'),
        ("error", "rate_limit_exceeded", b'"code": "rate_limit_exceeded"'),
        ("plain_text_error", "x", b"data: Number of choices must be greater than 0.\n\n"),
        ("bare_error", "403", b'{"error": {"message": "The demo model is overloaded."'),
        ("spark_error", "11200", b'data: {"code": 11200, "message": "The demo model is overloaded.", "sid": "x"}'),
        ("event_error", "x", b'event: error\ndata: {"error": {'),
        ("choice_error", "502", b'"finish_reason": "error"}], "error": {"message": '),
    ],
)  # fmt: skip
async def test_an_error_comes_in_the_stream(model: ModelProcess, fault: str, code: str, frame: bytes) -> None:
    """After the deltas before it, with the code of the request."""
    response = await ask(model, {"fault": fault, "code": code, "after": 1})

    assert b'"content":"You"' in response.body
    assert frame in response.body


async def test_headers_say_whether_and_when_to_ask_again(model: ModelProcess) -> None:
    """In the words of OpenAI's own."""
    response = await ask(model, {"fault": 429, "retry_after_ms": 1500, "should_retry": 0})

    assert (response.headers["retry-after-ms"], response.headers["x-should-retry"]) == ("1500", "false")


async def test_a_redirect_leads_to_another_path_of_the_same_origin(model: ModelProcess) -> None:
    """The address it names answers."""
    response = await ask(model, {"quirk": "redirect"})

    assert (response.status, response.headers["location"]) == (308, "/v1/moved/chat/completions")
    assert (await ask(model, {"quirk": "redirect"}, path="/moved")).status == 200


async def test_the_last_event_ends_with_the_connection(model: ModelProcess) -> None:
    """Without `[DONE]`, and without the blank line."""
    response = await ask(model, {"quirk": "no_last_newline"})

    assert response.body.endswith(b'"finish_reason":"tool_calls"}]}')


@pytest.mark.parametrize(
    ("how", "frame"), list(zip(ALIVE, (b": keep-alive\n\n", b'"delta":{}', b"data: {}\n\n", b"\n"), strict=True))
)
async def test_frames_that_only_show_life_come_first(model: ModelProcess, how: str, frame: bytes) -> None:
    """As many as the seconds have tenths."""
    response = await ask(model, {"alive": how, "alive_s": 0.3})

    assert response.body.split(b'data: {"id":"chatcmpl')[0].count(frame) == 3


async def test_arguments_are_held_back_until_they_are_whole(model: ModelProcess) -> None:
    """One piece with the name, one with all arguments."""
    response = await ask(model, {"hold_s": 0.05, "quirk": "same_id"})

    pieces = [line for line in response.body.split(b"\n\n") if b'"tool_calls":[' in line]
    assert len(pieces) == 2
    assert b'"arguments":"{\\"n\\": 10}"' in pieces[1]


async def test_quirks_add_up(model: ModelProcess) -> None:
    """The stream has all of those in the name."""
    response = await ask(model, {"quirk": "parts+usage_text+bom+json_type"}, body=WITH_USAGE)

    assert response.body.startswith(b"\xef\xbb\xbfdata: ")
    assert b'"content":[{"type":"text","text":"You"}' in response.body
    assert b'"prompt_tokens":"4"' in response.body
    assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("wishes", [{"quirk": "nothing"}, {"quirk": "bom+nothing"}, {"alive": "signs"}])
async def test_an_unknown_quirk_is_refused(model: ModelProcess, wishes: dict[str, str]) -> None:
    """A typing mistake must not pass for a good answer."""
    assert (await ask(model, wishes)).status == 400
