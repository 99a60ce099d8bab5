"""JSON as it grows, on the real path: from the unfinished text of a provider to the unfinished object of a viewer."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.problem_responses import check_problem
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, chat, demo, unique
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer, follow_all
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

OBJECT = {"type": "json_object"}
LINE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "count": {"type": "integer"}, "tags": {"type": "array", "items": {}}},
    "required": ["name", "count"],
}
UNKEPT: dict[str, Any] = LINE | {"properties": LINE["properties"] | {"count": {"type": "integer", "multipleOf": 7}}}
"""The demo model does not know `multipleOf`."""


def schema(wanted: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "line", "schema": wanted}}


def tool(name: str, parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


async def watch(stack: Stack, generation_id: str) -> list[Transcript]:
    """One viewer with folding, and one without."""
    return await follow_all(Viewer(generation_id, stack.urls, fold=fold, name=f"fold {fold}") for fold in (True, False))


async def check(stack: Stack, generation_id: str, transcripts: list[Transcript]) -> dict[str, Any]:
    """Check that all agree, a late viewer too; return what they agree on."""
    late = await Viewer(generation_id, stack.urls, name="late").follow()
    snapshot = await stack.closed(generation_id)
    check_invariants([*transcripts, late], snapshot, await stack.log(generation_id))
    return late.reduce()


async def value_of(stack: Stack, generation_id: str, target: str = "output") -> Any:
    """The first value in a snapshot for this target."""

    async def has_value() -> list[Any] | None:
        values = (await stack.snapshot(generation_id))["json"]
        return [values[target]] if target in values else None

    return (await until(has_value, 10, f"a value of {target}"))[0]


@pytest.mark.rule("R30")
@pytest.mark.parametrize("wanted", [OBJECT, schema(LINE)], ids=["object", "schema"])
async def test_an_answer_in_json_grows_to_what_its_text_says(stack: Stack, wanted: dict[str, Any]) -> None:
    """Step by step for viewers, and the same at the end for all."""
    generation_id = await stack.create(demo(pace_s=0.01, chars=4), response_format=wanted)
    transcripts = await watch(stack, generation_id)
    answer = await check(stack, generation_id, transcripts)

    assert answer["status"] == "completed"
    assert answer["json"] == {"output": json.loads(answer["text"])}
    assert answer["violations"] == []
    ops = [op for frame in transcripts[1].frames if frame.event == "json" for op in frame.data["ops"]]
    assert (ops[0]["op"], ops[0]["path"]) == ("set", "")
    assert {"append", "add"} >= {op["op"] for op in ops[1:]}
    assert len(ops) > 3


@pytest.mark.rule("R30")
async def test_the_arguments_of_parallel_calls_grow_each_by_itself(stack: Stack) -> None:
    """Each under the id of its call."""
    tools = [tool("first", LINE), tool("second", {"type": "object", "properties": {"q": {"type": "string"}}})]
    generation_id = await stack.create(demo(pace_s=0.01, tools=2), tools=tools)
    answer = await check(stack, generation_id, await watch(stack, generation_id))

    assert answer["json"] == {call["id"]: json.loads(call["arguments"]) for call in answer["tool_calls"]}
    assert len(answer["json"]) == 2
    assert answer["violations"] == []


@pytest.mark.rule("R33")
async def test_a_late_joiner_gets_the_value_so_far_in_one_step(stack: Stack) -> None:
    """The provider is silent in the middle: one frame with one `set`, and then the rest as it comes."""
    gate = unique()
    generation_id = await stack.create(demo(pace_s=0.01, chars=4, gate=gate, gate_after=20), response_format=OBJECT)

    async def silent() -> bool:
        # No further piece came: the timer has processed the last one.
        snapshot = await stack.snapshot(generation_id)
        text, values = snapshot["text"], snapshot["json"]
        return len(text) == 80 and bool(values["output"] == json.loads(text + '"}'))

    await until(silent, 10, "the value to be where the text is")
    async with open_events(stack.urls[0], generation_id) as stream:
        first = await anext(frame async for frame in stream if "json" in frame.data)
    await stack.model.open_gate(gate)
    transcripts = await watch(stack, generation_id)
    answer = await check(stack, generation_id, transcripts)

    text = first.data["text"]
    assert first.data["json"] == [
        {"target": "output", "ops": [{"op": "set", "path": "", "value": json.loads(text + '"}')}]},
    ]  # fmt: skip
    assert sum(frame.event == "json" for frame in transcripts[1].frames) > 3
    assert answer["json"]["output"] == json.loads(answer["text"])


@pytest.mark.rule("R34")
async def test_a_cancel_leaves_the_last_value(stack: Stack) -> None:
    """An unfinished but valid object, the same for all."""
    generation_id = await stack.create(demo(pace_s=0, chars=4, gate=unique(), gate_after=20), response_format=OBJECT)
    await value_of(stack, generation_id)
    await stack.cancel(generation_id)
    answer = await check(stack, generation_id, await watch(stack, generation_id))

    assert answer["status"] == "cancelled"
    assert answer["json"]["output"].keys() <= {"question", "answer"}
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(answer["text"])


@pytest.mark.rule("R34")
async def test_a_failure_leaves_the_last_value(stack: Stack) -> None:
    """The provider breaks off; the value so far stays."""
    model = demo(pace_s=0, chars=4, finish="none")
    generation_id = await stack.create(model, response_format=OBJECT, on_interrupt="fail")
    answer = await check(stack, generation_id, await watch(stack, generation_id))

    assert answer["status"] == "failed"
    assert isinstance(answer["json"]["output"], dict)


@pytest.mark.rule("R34")
async def test_a_new_attempt_forgets_the_value(redis_server: RedisServer) -> None:
    """The unfinished object of a killed worker does not mix with that of its successor."""
    gate = unique()
    async with Stack(redis=redis_server, settings={"lease_s": 1.0}) as stack:
        generation_id = await stack.create(demo(pace_s=0, chars=4, gate=gate, gate_after=20), response_format=OBJECT)
        watching = asyncio.create_task(watch(stack, generation_id))
        await value_of(stack, generation_id)
        await stack.start_worker()
        stack.workers[0].kill()
        await stack.model.open_gate(gate)
        transcripts = await watching
        answer = await check(stack, generation_id, transcripts)

    assert (answer["status"], answer["attempt"]) == ("completed", 2)
    assert answer["json"]["output"] == json.loads(answer["text"])
    sets = [
        op for frame in transcripts[1].frames if frame.event == "json" for op in frame.data["ops"] if op["op"] == "set"
    ]  # fmt: skip
    assert len(sets) == 2


@pytest.mark.rule("R34")
async def test_a_broken_schema_is_told_in_the_end(stack: Stack) -> None:
    """For the answer and for arguments; the generation is completed nevertheless."""
    answered = await stack.create(demo(pace_s=0), response_format=schema(UNKEPT))
    called = await stack.create(demo(pace_s=0, tools=1), tools=[tool("f", UNKEPT)])
    answer = await check(stack, answered, await watch(stack, answered))
    call = await check(stack, called, await watch(stack, called))

    message = "1 is not a multiple of 7"
    assert (answer["status"], call["status"]) == ("completed", "completed")
    assert answer["violations"] == [{"target": "output", "path": "/count", "message": message}]
    assert call["violations"] == [{"target": call["tool_calls"][0]["id"], "path": "/count", "message": message}]


@pytest.mark.rule("R34")
async def test_an_answer_cut_at_its_limit_keeps_its_value_and_says_so(stack: Stack) -> None:
    """`finish_reason` is `length`: the JSON is incomplete, and viewers have it up to there."""
    generation_id = await stack.create(demo(pace_s=0, chars=4), response_format=OBJECT, max_tokens=20)
    answer = await check(stack, generation_id, await watch(stack, generation_id))

    assert answer["finish_reason"] == "length"
    assert answer["json"]["output"] == json.loads(answer["text"] + '"}')
    assert [violation["path"] for violation in answer["violations"]] == [""]
    assert "ends before" in answer["violations"][0]["message"]


@pytest.mark.rule("R34")
async def test_a_refusal_breaks_nothing(stack: Stack) -> None:
    """There is no value, and no violation."""
    generation_id = await stack.create(demo(pace_s=0, refusal=3), response_format=OBJECT)
    answer = await check(stack, generation_id, await watch(stack, generation_id))
    assert (answer["status"], answer["json"], answer["violations"]) == ("completed", {}, [])


@pytest.mark.rule("R34")
@pytest.mark.parametrize("wanted", [{"type": "nothing"}, {"properties": 7}, "text", []])
async def test_a_schema_that_is_none_is_refused(stack: Stack, wanted: Any) -> None:
    """When it is created, with the path in the schema."""
    body = chat(demo(), response_format=schema(wanted))
    check_problem(await stack.post(body), 400, "bad_request")
