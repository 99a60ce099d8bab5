"""Quirks of the demo model, as clients of OpenAI's wires see them."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest

from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique

pytestmark = pytest.mark.anyio

PROMPT: Final = "Room 100 costs 0.5, true 1"
THOUGHT: Final = "The q"
PARAMETERS: Final = {"type": "object", "properties": {"n": {"const": 100}}, "required": ["n"]}
MINE: Final[dict[str, Any]] = {"type": "function", "function": {"name": "mine", "parameters": PARAMETERS}}
GOOD: Final = ["numbers", "reason_everywhere", "json_type", "bom", "run_on", "pings", "usage_in_choice", "no_reason"]
THOUGHTFUL: Final = ["parts", "summary_parts", "details", "reasoning_text", "message", "whole", "early_stop"]
CALLS: Final = ["numbers", "no_arguments", "name_pieces", "index_jump", "long_id", "message", "whole_calls"]
BROKEN: Final = ["abort", "error", "MALFORMED_FUNCTION_CALL"]


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One worker in front of the demo model."""
    async with Stack(redis=redis_server) as running:
        yield running


def _named(**wishes: object) -> str:
    return demo(**{"pace_s": 0, "echo": 1, "chars": 1, "seed": unique()} | wishes)


async def _ask(stack: Stack, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    response = await request("POST", f"{stack.urls[0]}/v1/{path}", body=dict(body))
    answer: dict[str, Any] = response.json()
    return answer | {"http_status": response.status}


async def _chat(stack: Stack, model: str, **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **fields}
    answer = await _ask(stack, "chat/completions", body)
    assert answer["http_status"] == 200, answer
    choice: dict[str, Any] = answer["choices"][0]
    return choice


async def _streamed(stack: Stack, model: str, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of the Chat wire, with the error if there is one."""
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": True, **fields}
    response = await request("POST", f"{stack.urls[0]}/v1/chat/completions", body=body)
    lines = [line.removeprefix("data: ") for line in response.body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def _respond(stack: Stack, model: str, **fields: Any) -> dict[str, Any]:
    return await _ask(stack, "responses", {"model": model, "input": PROMPT, **fields})


def _texts(response: Mapping[str, Any], kind: str) -> str:
    items = [item for item in response["output"] if item["type"] == kind]
    parts = [part for item in items for part in [*(item.get("content") or ()), *(item.get("summary") or ())]]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize(
    ("quirk", "reasoning"), [*((quirk, "") for quirk in GOOD), *((quirk, THOUGHT) for quirk in THOUGHTFUL)]
)
async def test_an_answer_is_the_same_on_each_wire(stack: Stack, quirk: str, reasoning: str) -> None:
    """Text, reasoning and end, streamed or whole."""
    model = _named(quirk=quirk, reasoning=len(reasoning))
    choice = await _chat(stack, model)
    chunks = await _streamed(stack, model)
    response = await _respond(stack, model)

    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert (choice["message"]["content"], choice["finish_reason"]) == (PROMPT, "stop")
    assert (choice["message"].get("reasoning_content") or "") == reasoning
    assert "".join(delta.get("content") or "" for delta in deltas) == PROMPT
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == reasoning
    assert (response["status"], _texts(response, "message")) == ("completed", PROMPT)
    assert _texts(response, "reasoning") == reasoning


@pytest.mark.parametrize("quirk", CALLS)
async def test_a_call_is_the_same_on_each_wire(stack: Stack, quirk: str) -> None:
    """One call, whose arguments are JSON."""
    model = _named(quirk=quirk, tools=1)
    choice = await _chat(stack, model, tools=[MINE])
    response = await _respond(stack, model, tools=[{"type": "function", **MINE["function"]}])

    (called,) = choice["message"]["tool_calls"]
    (item,) = [item for item in response["output"] if item["type"] == "function_call"]
    for function in (called["function"], item):
        assert function["name"] == "mine"
        assert json.loads(function["arguments"]) == ({} if quirk == "no_arguments" else {"n": 100})
    assert choice["finish_reason"] == "tool_calls"
    assert response["status"] == "completed"


@pytest.mark.parametrize(
    ("word", "finish", "status"),
    [
        ("eos_token", "stop", "completed"),
        ("end_turn", "stop", "completed"),
        ("MAX_TOKENS", "length", "incomplete"),
        ("model_context_window_exceeded", "length", "incomplete"),
        ("sensitive", "content_filter", "incomplete"),
        ("SAFETY", "content_filter", "incomplete"),
    ],
)
async def test_words_are_openais(stack: Stack, word: str, finish: str, status: str) -> None:
    """SDKs in Go, Rust and .NET refuse words that OpenAI does not have."""
    model = _named(finish=word)

    assert (await _chat(stack, model))["finish_reason"] == finish
    assert (await _respond(stack, model))["status"] == status


@pytest.mark.parametrize(
    "wishes", [*({"finish": word} for word in BROKEN), {"quirk": "images"}, {"quirk": "unknown_member"}], ids=str
)
async def test_a_broken_answer_is_whole_on_no_wire(stack: Stack, wishes: dict[str, object]) -> None:
    """An error that clients see, never a completed answer."""
    model = _named(**wishes)
    fields = {"on_interrupt": "fail"}
    chunks = await _streamed(stack, model, **fields)
    response = await _respond(stack, model, **fields)

    assert any(chunk.get("error") for chunk in chunks)
    assert not any(choice.get("finish_reason") for chunk in chunks for choice in chunk.get("choices", ()))
    assert response.get("status") == "failed" or response["http_status"] >= 400


@pytest.mark.parametrize("quirk", ["call_signature", "late_signature", "details", "thinking_blocks"])
async def test_a_client_gets_the_members_to_send_back(stack: Stack, quirk: str) -> None:
    """On the Chat wire under the provider's own names, streamed or whole."""
    model = _named(quirk=quirk, tools=1, reasoning=len(THOUGHT))
    name = {"details": "reasoning_details", "thinking_blocks": "thinking_blocks"}.get(quirk, "extra_content")
    choice = await _chat(stack, model, tools=[MINE])
    chunks = await _streamed(stack, model, tools=[MINE])

    assert name in json.dumps(choice["message"])
    assert name in json.dumps(chunks)
