"""Opaque members go back to the provider that sent them. A member that a provider refused is not sent again. A request
whose answer could not be shown is refused before anybody pays for it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from outlive.deploy.demo_model.quirks.chunk_rewrites import SIGNATURE
from tests.support.invariants import check_invariants
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique
from tests.support.tools import calling, notes_in
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

SIGNED: Final = ("details", "details_only", "thinking_blocks", "call_signature", "late_signature")
"""Quirks by which the demo model sends the signature that it wants back."""
MINE: Final[dict[str, Any]] = {
    "type": "function",
    "function": {"name": "mine", "parameters": {"type": "object", "properties": {}}},
}
STATES: Final = ["wants_reasoning", *(f"{quirk}+wants_signature" for quirk in SIGNED)]


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """A worker with the tests' tools."""
    async with Stack(redis=redis_server, settings={"tools": "tests.support.tools"}) as running:
        yield running


def _named(quirk: str, **wishes: object) -> str:
    """A model's name that no other test has."""
    return demo(**{"pace_s": 0, "tools": 1, "reasoning": 3, "seed": unique(), "quirk": quirk} | wishes)


@pytest.mark.parametrize("quirk", [*STATES, "wants_content"])
async def test_the_next_request_has_the_members_that_the_provider_wants_back(stack: Stack, quirk: str) -> None:
    """The worker runs its tool, and the provider takes its own message back."""
    model = _named(quirk)
    generation_id = await stack.create(model, tools=[calling("add", a=2, b=3)])
    transcript = await Viewer(generation_id, stack.urls, fold=False).follow()
    snapshot = await stack.closed(generation_id)
    check_invariants([transcript], snapshot, await stack.log(generation_id))

    assert (snapshot["status"], snapshot["error"]) == ("completed", None)
    assert snapshot["text"].startswith("A tool said: 5")
    assert len(await stack.model.requests(model)) == 2


async def test_each_round_of_the_model_is_closed_by_a_turn(stack: Stack) -> None:
    """With its upstream, its usage, and the members that the provider wants back."""
    generation_id = await stack.create(_named("details"), tools=[calling("add", a=2, b=3)])
    snapshot = await stack.closed(generation_id)
    events = [(kind, json.loads(data)) for _, kind, data in await stack.log(generation_id)]
    first, second = [data for kind, data in events if kind == "turn"]

    for turn in (first, second):
        assert SIGNATURE in json.dumps(turn["provider"])
        assert turn["upstream"]
        assert turn["usage"]["completion_tokens"] > 0
    total = sum(turn["usage"]["completion_tokens"] for turn in (first, second))
    assert snapshot["usage"]["completion_tokens"] == total
    kinds = [kind for kind, _ in events]
    assert kinds.index("tool_call_done") < kinds.index("turn") < kinds.index("tool_result")


@pytest.mark.parametrize("quirk", ["call_signature", "late_signature"])
async def test_a_whole_call_has_its_opaque_members(stack: Stack, quirk: str) -> None:
    """In the log, so that the next attempt has them too."""
    generation_id = await stack.create(_named(quirk), tools=[MINE])
    await stack.closed(generation_id)
    (done,) = [json.loads(data) for _, kind, data in await stack.log(generation_id) if kind == "tool_call_done"]

    assert done["provider"]["extra_content"] == {"google": {"thought_signature": SIGNATURE}}


@pytest.mark.parametrize("finish", ["abort", "error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"])
async def test_no_tool_runs_on_a_turn_that_broke(stack: Stack, tmp_path: Path, finish: str) -> None:
    """The engine gave up in the middle, so the arguments may be incomplete."""
    file = tmp_path / "notes"
    generation_id = await stack.create(
        _named("parts", finish=finish), tools=[calling("note", file=str(file))], on_interrupt="fail"
    )
    snapshot = await stack.closed(generation_id)

    assert (snapshot["status"], snapshot["tool_results"]) == ("failed", [])
    assert notes_in(file) == []


async def test_a_fenced_document_has_a_value(stack: Stack) -> None:
    """Half of the models that ignore `response_format` write a fence around it."""
    schema = {"type": "object", "properties": {"n": {"const": 100}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    generation_id = await stack.create(_named("fence", tools=0), response_format=wanted)
    snapshot = await stack.closed(generation_id)

    assert snapshot["status"] == "completed"
    assert snapshot["text"].startswith("```json")
    assert snapshot["json"]["output"] == {"n": 100}


@pytest.mark.parametrize(
    ("quirk", "fields"),
    [
        ("no_stream_options", {}),
        ("no_developer_role", {"messages": [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}]}),
    ],
)
async def test_a_member_that_was_refused_by_name_is_not_sent_again(
    redis_server: RedisServer, quirk: str, fields: dict[str, Any]
) -> None:
    """The worker asks once more without it, and sends it no more."""
    async with Stack(redis=redis_server) as stack:
        first, second = [_named(quirk, tools=0) for _ in range(2)]
        for model in (first, second):
            snapshot = await stack.closed(await stack.create(model, **fields))
            assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
        assert [len(await stack.model.requests(model)) for model in (first, second)] == [2, 1]


async def test_a_connection_that_died_while_idle_counts_for_nothing(stack: Stack) -> None:
    """The request goes out again at once over a fresh one."""
    await stack.closed(await stack.create(demo(pace_s=0, tokens=1)))
    model = _named("dies_on_reuse", tools=0)
    snapshot = await stack.closed(await stack.create(model))

    assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
    assert len(await stack.model.requests(model)) == 1


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "modalities"),
        ({"modalities": ["text", "image"]}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
    ],
    ids=["audio and its modality", "image", "audio", "logprobs", "hosted tool"],
)
@pytest.mark.parametrize("path", ["generations", "chat/completions"])
async def test_a_request_whose_answer_could_not_be_shown_is_refused_by_name(
    stack: Stack, fields: dict[str, Any], name: str, path: str
) -> None:
    """The provider is not asked."""
    model = _named("parts", tools=0)
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | fields
    response = await request("POST", f"{stack.urls[0]}/v1/{path}", body=body)

    assert response.status in (400, 422)
    assert name in response.body.decode()
    assert await stack.model.requests(model) == []


async def _chat(stack: Stack, model: str, messages: list[Any]) -> dict[str, Any]:
    """One message of the Chat wire."""
    body = {"model": model, "messages": messages, "tools": [MINE]}
    response = await request("POST", f"{stack.urls[0]}/v1/chat/completions", body=body)
    assert response.status == 200, response
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


@pytest.mark.parametrize("quirk", STATES)
async def test_a_client_of_the_chat_wire_echoes_its_message(stack: Stack, quirk: str) -> None:
    """It runs its own tool, and echoes the message with the call as it came."""
    model, asked = _named(quirk), {"role": "user", "content": "Hi"}
    message = await _chat(stack, model, [asked])
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "42"}
    answer = await _chat(stack, model, [asked, message, result])

    assert answer["content"].startswith("A tool said: 42")


async def _respond(stack: Stack, model: str, **fields: Any) -> dict[str, Any]:
    """One response of the Responses wire."""
    tool = {"type": "function", **MINE["function"]}
    body = {"model": model, "tools": [tool], "include": ["reasoning.encrypted_content"], **fields}
    response = await request("POST", f"{stack.urls[0]}/v1/responses", body=body)
    assert response.status == 200, response
    answer: dict[str, Any] = response.json()
    return answer


def _text(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("way", ["items", "previous_response_id"])
@pytest.mark.parametrize("quirk", STATES)
async def test_a_client_of_the_responses_wire_goes_on(stack: Stack, quirk: str, way: str) -> None:
    """By echoing the items, or by naming the response before."""
    model = _named(quirk)
    first = await _respond(stack, model, input="Hi")
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    if way == "items":
        second = await _respond(stack, model, input=[{"role": "user", "content": "Hi"}, *first["output"], result])
    else:
        second = await _respond(stack, model, previous_response_id=first["id"], input=[result])

    assert _text(second).startswith("A tool said: 42")
