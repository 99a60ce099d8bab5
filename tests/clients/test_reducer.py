"""The reducers in JavaScript and in Python: from the same transcripts they make the same answers."""

import random
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.support import javascript
from tests.support.stack import Stack, demo
from tests.support.transcript import SeenFrame, Transcript, reduce, whole
from tests.support.viewer import Viewer
from tests.unit.test_transcript import frame

pytestmark = pytest.mark.anyio

_SAME: Final = {
    "status": "status", "attempt": "attempt", "text": "text", "reasoning": "reasoning", "refusal": "refusal",
    "usage": "usage", "finish_reason": "finishReason", "cursor": "cursor",
}  # fmt: skip
"""Field of the Python answer -> of the JavaScript one."""

_USAGE: Final = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_HALVES: Final = "\ud83c\udf0a"

EventParts = tuple[str | None, str, dict[str, Any]]


def sent(seen: Sequence[SeenFrame]) -> list[dict[str, Any]]:
    """The events as JavaScript sees them."""
    return [{"id": s.frame.id, "type": s.frame.event, "data": s.frame.data} for s in seen]


def check_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare the answers; `ours` is that of Python."""
    for name, other in _SAME.items():
        value = theirs[other]
        assert ours[name] == (whole(value) if isinstance(value, str) else value), name
    assert ours["error"] == (theirs["error"] and {key: theirs["error"][key] for key in ours["error"] or ()})
    calls = [{name: call[name] for name in ("id", "name", "arguments")} for call in theirs["toolCalls"]]
    assert [{name: call[name] for name in ("id", "name", "arguments")} for call in ours["tool_calls"]] == calls


def invented(chance: random.Random) -> list[EventParts]:
    """A log that is allowed, with every fault in it: attempts and lost tails, but no holes."""
    events: list[EventParts] = [("10-0", "queued", {"id": "gen_1", "model": "demo", "created_at": 1.0})]
    epoch = 10
    for attempt in range(1, chance.randint(0, 3) + 1):
        epoch += chance.randint(1, 9)
        events.append((f"{epoch}-0", "attempt", {"attempt": attempt, "reason": "started"}))
        seq = 1
        for _ in range(chance.randint(0, 12)):
            kind = chance.choice(["token", "token", "reasoning", "refusal", "tool_call", "news"])
            data: dict[str, Any] = {"text": chance.choice(["a", " b", "\n", _HALVES[0], _HALVES[1], "é"])}
            if kind == "tool_call":
                data = {"index": chance.randint(0, 2), "arguments": chance.choice(["", "{", '"x'])}
                data |= chance.choice([{}, {"id": f"call_{seq}", "name": "look"}])
            if chance.random() < 0.2 and kind != "news":
                data["from"], seq = seq, seq + chance.randint(1, 3)
            events.append((f"{epoch}-{seq}", kind, data))
            seq += 1
    end: dict[str, Any] = {"usage": _USAGE, "chars": 0, "events": 1}
    match chance.randint(0, 3):
        case 0:
            events.append((f"{epoch}-{999}", "completed", {"finish_reason": "stop", **end}))
        case 1:
            failed = {"code": "internal", "message": "no", "retryable": True, **end}
            events.append((f"{epoch + 9}-0", "failed", failed))
        case 2:
            cut = chance.choice(events)[0]
            events.append((f"{epoch + 9}-0", "cancelled", {"reason": "requested", **end, "cut": cut}))
    return events


def reduced(seen: Sequence[SeenFrame]) -> dict[str, Any]:
    """By Python's reducer, which rolls back to a `cut`. Ours in JavaScript does not have to: the API sends a
    `cut` only to a viewer whose last event it is, and so any other is refused."""
    cut = seen[-1].frame.data.get("cut")
    if cut is not None and str(seen[-2].cursor) != cut:
        return {"broken": "RangeError"}
    try:
        return reduce(seen)
    except ValueError:
        return {"broken": "RangeError"}


async def test_invented_transcripts_reduce_to_the_same_answer() -> None:
    """Attempts, folds, unknown types, split emoji, and terminals that cut anywhere, also inside folds."""
    chance = random.Random(6)
    transcripts = []
    for _ in range(500):
        transcript = Transcript("gen_1")
        for events in invented(chance):
            transcript.saw(frame(events))
        transcripts.append(transcript.segments()[-1].seen)
    theirs = await javascript.run("reduce.mjs", [sent(seen) for seen in transcripts])

    for seen, answer in zip(transcripts, theirs, strict=True):
        ours = reduced(seen)
        if "broken" in ours or "broken" in answer:
            assert ours == answer
        else:
            check_same(ours, answer)


@pytest.mark.parametrize(
    "wishes",
    [{"tokens": 120, "reasoning": 10}, {"refusal": 8}, {"tools": 3}, {"tokens": 20, "tools": 2}, {"finish": "none"}],
)
@pytest.mark.parametrize("fold", [None, False])
async def test_real_transcripts_reduce_to_the_same_answer(
    stack: Stack, wishes: dict[str, Any], fold: bool | None
) -> None:
    """What real viewers saw, folded and not; it is also the answer of the snapshot."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    generation_id = await stack.create(demo(pace_s=0.001, **wishes), tools=tools, on_interrupt="fail")
    transcript = await Viewer(generation_id, stack.urls, seed=3, fold=fold, leaves=2, reconnect_s=(0, 0.1)).follow()
    seen = transcript.segments()[-1].seen
    (answer,) = await javascript.run("reduce.mjs", [sent(seen)])
    snapshot = await stack.snapshot(generation_id)

    check_same(transcript.reduce(), answer)
    assert (answer["text"], answer["cursor"]) == (snapshot["text"], snapshot["cursor"])


async def test_a_reset_forgets_everything() -> None:
    """The cursor too."""
    events = [
        {"id": "20-0", "type": "attempt", "data": {"attempt": 2, "reason": "started"}},
        {"id": "20-1", "type": "token", "data": {"text": "a"}},
        {"id": None, "type": "reset", "data": {"reason": "log_changed"}},
    ]
    nothing, empty = await javascript.run("reduce.mjs", [events, []])
    assert nothing == empty
    assert nothing["cursor"] is None


async def test_values_grow_by_their_ops() -> None:
    """Set, append and add, on the output and on calls, also folded into text; odd keys are only keys."""

    def event(seq: int, kind: str, **data: Any) -> dict[str, Any]:
        return {"id": f"20-{seq}", "type": kind, "data": data}

    events = [
        event(0, "attempt", attempt=1, reason="started"),
        event(1, "json", target="output", ops=[{"op": "set", "path": "", "value": {"a": "x", "l": []}}]),
        event(2, "json", target="output", ops=[{"op": "append", "path": "/a", "value": "y"}]),
        event(
            3,
            "token",
            text="t",
            json=[{"target": "output", "ops": [{"op": "add", "path": "/l/0", "value": {"k/~": 1}}]}],
        ),
        event(4, "json", target="output", ops=[{"op": "set", "path": "/l/0/k~1~0", "value": 2}]),
        event(5, "json", target="output", ops=[{"op": "add", "path": "/__proto__", "value": {"evil": True}}]),
        event(6, "tool_call", index=0, id="c1", name="look", arguments='{"q'),
        event(
            7,
            "json",
            target="c1",
            ops=[{"op": "set", "path": "", "value": "half"}, {"op": "append", "path": "", "value": "!"}],
        ),
        event(8, "tool_call_done", index=0, id="c1", name="look", arguments='{"q":1}'),
        event(9, "tool_result", id="c1", name="look", error="no such sea", duration_ms=12),
    ]
    (answer,) = await javascript.run("reduce.mjs", [events])
    assert answer["json"]["output"] == {"a": "xy", "l": [{"k/~": 2}], "__proto__": {"evil": True}}
    assert answer["json"]["c1"] == "half!"
    result = {"content": None, "error": "no such sea", "durationMs": 12}
    call = {"index": 0, "id": "c1", "name": "look", "arguments": '{"q":1}', "done": True, "result": result}
    assert answer["toolCalls"] == [call]
    (again,) = await javascript.run("reduce.mjs", [[*events, {**events[0], "id": "30-0"}]])
    assert (again["json"], again["toolCalls"], again["text"]) == ({}, [], "")
