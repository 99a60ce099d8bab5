"""Tools that the worker runs: the way to the model and back, and whatever a tool may do meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique
from tests.support.tools import calling, notes_in, tool_named
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

RESULT_BYTES = 1_000
ROUNDS = 3
_BAD_ARGUMENTS = (
    "The arguments are not valid. a: Input should be a valid integer. b: Field required. "
    "c: Extra inputs are not permitted."
)


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """A worker with the tools of the tests."""
    settings = {"tools": "tests.support.tools", "tool_result_bytes": RESULT_BYTES, "tool_rounds": ROUNDS}
    async with Stack(redis=redis_server, settings=settings) as running:
        yield running


async def _watch(stack: Stack, tools: list[Any], **wishes: object) -> tuple[Transcript, dict[str, Any]]:
    """The answer to one request with these tools, each called once: as a viewer and as the snapshot have it."""
    model = demo(**{"pace_s": 0, "tools": len(tools), "seed": unique(), **wishes})
    generation_id = await stack.create(model, tools=tools)
    transcript = await Viewer(generation_id, stack.urls, fold=False).follow()
    snapshot = await stack.closed(generation_id)
    check_invariants([transcript], snapshot, await stack.log(generation_id))
    return transcript, snapshot


async def _requests(stack: Stack, transcript: Transcript) -> list[dict[str, Any]]:
    """The requests that the model got for this answer; no other answer has its model name."""
    return await stack.model.requests(transcript.frames[0].data["model"])


async def _result(stack: Stack, tool: Any) -> dict[str, Any]:
    """The result of the only call of an answer that completes."""
    _, snapshot = await _watch(stack, [tool])
    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "stop")
    (result,) = snapshot["tool_results"]
    only_result: dict[str, Any] = result
    return only_result


@pytest.mark.rule("R40")
@pytest.mark.rule("R41")
async def test_a_result_goes_into_the_log_and_back_to_the_model(stack: Stack) -> None:
    """The model answers with text that uses it; all model turns are one attempt, one usage, one text."""
    transcript, snapshot = await _watch(stack, [calling("add", a=2, b=3)])

    (call,), (result,) = snapshot["tool_calls"], snapshot["tool_results"]
    assert (call["name"], call["arguments"]) == ("add", '{"a": 2, "b": 3}')
    assert (result["id"], result["name"], result["content"], result["error"]) == (call["id"], "add", "5", None)
    assert result["duration_ms"] >= 0
    assert snapshot["text"].startswith("A tool said: 5\n\n")
    assert (snapshot["status"], snapshot["finish_reason"], snapshot["attempt"]) == ("completed", "stop", 1)
    kinds = [frame.event for frame in transcript.frames]
    assert kinds.index("tool_call") < kinds.index("tool_call_done") < kinds.index("tool_result") < kinds.index("token")
    asked = await _requests(stack, transcript)
    assert len(asked) == 2
    assert snapshot["usage"]["completion_tokens"] == sum(one["chunks_sent"] for one in asked)


@pytest.mark.rule("R40")
async def test_a_bare_entry_is_completed_by_the_worker(stack: Stack) -> None:
    """The model got the names and types of the arguments, which only the worker knows."""
    _, snapshot = await _watch(stack, [tool_named("add")])

    assert snapshot["tool_calls"][0]["arguments"] == '{"a": 1, "b": 1}'
    assert snapshot["tool_results"][0]["content"] == "2"


@pytest.mark.rule("R40")
async def test_a_call_of_a_tool_nobody_here_has_is_the_callers(stack: Stack) -> None:
    """The answer ends and says why."""
    _, snapshot = await _watch(stack, [calling("theirs", x=1)])

    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "tool_calls")
    assert snapshot["tool_calls"][0]["name"] == "theirs"
    assert snapshot["tool_results"] == []


@pytest.mark.rule("R40")
async def test_of_a_mixed_turn_ours_are_run_and_then_it_is_the_callers(stack: Stack) -> None:
    """The caller gets our results, and the call that it must run itself."""
    transcript, snapshot = await _watch(stack, [calling("add", a=2, b=3), calling("theirs", x=1)])

    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "tool_calls")
    assert [call["name"] for call in snapshot["tool_calls"]] == ["add", "theirs"]
    assert [result["content"] for result in snapshot["tool_results"]] == ["5"]
    assert len(await _requests(stack, transcript)) == 1


@pytest.mark.rule("R41")
async def test_calls_of_one_turn_run_at_the_same_time(stack: Stack, tmp_path: Path) -> None:
    """Each waits for the other: one in the event loop, one in a thread."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    tools = [calling("meet", here=a, there=b), calling("meet_in_thread", here=b, there=a)]
    _, snapshot = await _watch(stack, tools)

    assert [result["content"] for result in snapshot["tool_results"]] == ["met", "met"]


@pytest.mark.rule("R41")
@pytest.mark.parametrize(
    ("tool", "error"),
    [
        (tool_named("fail"), "LookupError: there is no such city"),
        (tool_named("leave"), "SystemExit: 3"),
        (tool_named("give_up"), "The tool cancelled itself."),
        (tool_named("hang"), "The tool did not finish within 0.2 s."),
        (tool_named("hang_on"), "The tool did not finish within 0.2 s."),
        (tool_named("not_json"), "The tool returned something that cannot be written as JSON."),
        (calling("long", size=RESULT_BYTES + 1), "The result has 1001 bytes; at most 1000 are allowed."),
        (calling("add", a=[], c=1), _BAD_ARGUMENTS),
    ],
    ids=["raises", "exits", "cancels itself", "hangs", "hangs on", "no JSON", "too long", "bad arguments"],
)
async def test_whatever_a_tool_does_the_model_is_told_and_goes_on(stack: Stack, tool: Any, error: str) -> None:
    """The model gets an error that it can read; the generation never fails."""
    result = await _result(stack, tool)
    assert (result["content"], result["error"]) == (None, error)


@pytest.mark.rule("R41")
async def test_a_result_of_just_the_size_allowed_is_one(stack: Stack) -> None:
    """The limit itself is allowed."""
    assert (await _result(stack, calling("long", size=RESULT_BYTES)))["content"] == "x" * RESULT_BYTES


@pytest.mark.rule("R41")
async def test_arguments_that_are_no_json_are_an_error_the_model_can_read(stack: Stack) -> None:
    """The call of the model breaks off in the middle, but its finish reason says it is complete."""
    generation_id = await stack.create(
        demo(pace_s=0, tools=1, finish="tool_calls"), tools=[calling("add", a=2, b=3)], max_tokens=2
    )
    snapshot = await stack.closed(generation_id)
    (result, *_) = snapshot["tool_results"]

    assert result["content"] is None
    assert result["error"].startswith("The arguments are not valid. Invalid JSON")


@pytest.mark.rule("R39")
@pytest.mark.rule("R41")
async def test_a_call_that_was_cut_off_is_not_run(stack: Stack, tmp_path: Path) -> None:
    """`length` means that the arguments may be incomplete: the call is neither announced as complete nor run."""
    file = tmp_path / "notes"
    generation_id = await stack.create(demo(pace_s=0, tools=1), tools=[calling("note", file=str(file))], max_tokens=2)
    snapshot = await stack.closed(generation_id)

    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "length")
    assert "tool_call_done" not in [kind for _, kind, _ in await stack.log(generation_id)]
    assert notes_in(file) == []


@pytest.mark.rule("R41")
async def test_a_model_may_call_tools_in_several_rounds(stack: Stack, tmp_path: Path) -> None:
    """The calls of each round have their own indices and ids, although this model repeats its ids."""
    file = tmp_path / "notes"
    _, snapshot = await _watch(stack, [calling("note", file=str(file))], turns=ROUNDS)

    assert snapshot["finish_reason"] == "stop"
    assert [call["index"] for call in snapshot["tool_calls"]] == list(range(ROUNDS))
    assert len({call["id"] for call in snapshot["tool_calls"]}) == ROUNDS
    assert [result["content"] for result in snapshot["tool_results"]] == ["noted"] * ROUNDS
    assert notes_in(file) == ["note"] * ROUNDS


@pytest.mark.rule("R41")
async def test_a_model_that_never_stops_calling_is_stopped(stack: Stack, tmp_path: Path) -> None:
    """The worker does not run one round more than allowed."""
    file = tmp_path / "notes"
    _, snapshot = await _watch(stack, [calling("note", file=str(file))], turns=ROUNDS + 1)

    assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "too_many_rounds")
    assert snapshot["error"]["retryable"] is False
    assert len(snapshot["tool_results"]) == ROUNDS
    assert notes_in(file) == ["note"] * ROUNDS


@pytest.mark.rule("R41")
async def test_a_forced_call_is_forced_once(stack: Stack) -> None:
    """`tool_choice: required` would otherwise go on for ever."""
    generation_id = await stack.create(
        demo(pace_s=0, turns=ROUNDS + 1), tools=[calling("add", a=2, b=3)], tool_choice="required"
    )
    snapshot = await stack.closed(generation_id)

    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "stop")
    assert len(snapshot["tool_results"]) == 1


@pytest.mark.rule("R39")
@pytest.mark.parametrize("style", ["apart", "mixed", "named", "numbered", "bare", "zero"])
async def test_calls_come_whole_however_a_provider_tells_them(stack: Stack, style: str) -> None:
    """Streamed as they come, announced once, and run with their own arguments."""
    tools = [
        calling("add", a=1, b=10),
        calling("add", a=2, b=20),
        calling("theirs", who="me"),
    ]
    transcript, snapshot = await _watch(stack, tools, calls_as=style, pace_s=0.003)

    assert [call["name"] for call in snapshot["tool_calls"]] == ["add", "add", "theirs"]
    assert [call["arguments"] for call in snapshot["tool_calls"]] == [
        '{"a": 1, "b": 10}', '{"a": 2, "b": 20}', '{"who": "me"}',
    ]  # fmt: skip
    assert sorted(result["content"] for result in snapshot["tool_results"]) == ["11", "22"]
    pieces = [frame for frame in transcript.frames if frame.event == "tool_call"]
    assert len(pieces) > len(tools)
    assert [frame.data["index"] for frame in transcript.frames if frame.event == "tool_call_done"] == [0, 1, 2]
