"""The JSON values of one attempt: which piece grows which, what is told, what is said at the end."""

import json
from typing import Any

import pytest

from outlive.shared.model.codec import encode
from outlive.shared.model.events import Delta, Json, Reasoning, Refusal, Token, ToolCall, Violation
from outlive.shared.model.json_ops import NOTHING, apply
from outlive.worker.json_stream.documents import Documents

_JSON = {"response_format": {"type": "json_object"}}
_TOOLS = {"tools": [{"function": {"name": "f", "parameters": {"required": ["a"]}}}]}


def documents(request: dict[str, Any], *, event_bytes: int = 16_384, max_bytes: int = 1_000_000) -> Documents:
    return Documents(request, max_event_bytes=event_bytes, max_bytes=max_bytes)


def say(grown: Documents, *deltas: Delta, now_s: float = 0.0) -> list[Json]:
    for delta in deltas:
        grown.take(delta)
    return list(grown.read_due(now_s))


def values(events: list[Json]) -> dict[str, Any]:
    by_target: dict[str, Any] = {}
    for event in events:
        by_target[event.target] = apply(by_target.get(event.target, NOTHING), json.loads(encode(event))["ops"])
    return by_target


@pytest.mark.rule("R30")
def test_answer_and_calls_grow_side_by_side() -> None:
    """Each under its own name; reasoning is no JSON."""
    grown = documents(_JSON | _TOOLS)
    events = say(
        grown, Reasoning("{"), Token('{"a":"x'), ToolCall(0, "c0", "f", '{"a"'), ToolCall(1, "c1", "g", "["),
        ToolCall(0, None, None, ":2,"),
    )  # fmt: skip
    assert values(events) == {"output": {"a": "x"}, "c0": {"a": 2}, "c1": []}
    events += say(grown, Token('y"}'), ToolCall(0, None, None, '"b":3}'), ToolCall(1, None, None, "]"), now_s=1)
    events += list(grown.end())

    assert values(events) == {"output": {"a": "xy"}, "c0": {"a": 2, "b": 3}, "c1": []}
    assert grown.violations == []
    assert [(each.target, each.value) for each in grown.checkable] == [
        ("output", {"a": "xy"}), ("c0", {"a": 2, "b": 3}),
    ]  # fmt: skip


def test_text_is_a_value_only_where_json_is_asked_for() -> None:
    """However much it looks like it."""
    grown = documents({})
    assert say(grown, Token('{"a":1}')) == []
    assert grown.due_s is None
    assert list(grown.end()) == []
    assert grown.violations == []


@pytest.mark.rule("R31")
def test_nothing_is_due_while_nothing_is_new() -> None:
    """And what is new waits for its time."""
    grown = documents(_JSON)
    assert grown.due_s is None
    assert len(say(grown, Token("{"), now_s=5.0)) == 1
    assert grown.due_s is None
    assert say(grown, Token('"a":1,'), now_s=5.01) == []
    assert grown.due_s == pytest.approx(5.075)
    assert len(list(grown.read_due(5.075))) == 1


@pytest.mark.rule("R31")
def test_a_whole_call_is_told_whole_while_the_answer_goes_on() -> None:
    """Its tool may run for long: nobody waits for the next look, and it is told once."""
    grown = documents(_TOOLS)
    events = say(grown, ToolCall(0, "c", "f", '{"a":1'), ToolCall(0, None, None, "2}"))
    late = say(grown, ToolCall(1, "d", "f", "7"))
    events += [*late, *grown.end_call("c"), *grown.end_call("d"), *grown.end_call("unheard of")]
    assert values(events) == {"c": {"a": 12}, "d": 7}
    assert list(grown.end()) == []


@pytest.mark.rule("R34")
@pytest.mark.parametrize(
    ("deltas", "violations"),
    [
        ([Token('{"a":[1')], ["The text ends before the JSON does."]),
        ([Token("```json\n{}\n```")], ["The JSON is inside a code fence."]),
        ([Token("Here:\n```json\n{}\n```")], ["The text is not JSON."]),
        ([Token("{} and more")], ["The text is not JSON."]),
        ([], ["The text ends before the JSON does."]),
        ([Refusal("no")], []),
        ([ToolCall(0, "c", "f", "")], []),
        ([ToolCall(0, "c", "f", " ")], []),
        ([ToolCall(0, "c", "f", "{")], ["The text ends before the JSON does."]),
        ([Token('{"a":1e999}')], ["A number is too large. The value stays as it was before; the text is complete."]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(deltas: list[Delta], violations: list[str]) -> None:
    """Nothing is wrong with nothing, where something else was said."""
    grown = documents(_JSON)
    say(grown, *deltas)
    list(grown.end())
    assert [violation.message for violation in grown.violations] == violations
    assert {violation.path for violation in grown.violations} <= {""}


@pytest.mark.rule("R34")
def test_a_cut_value_is_told_to_its_last_piece() -> None:
    """What had not been looked at when the text ended is looked at then."""
    grown = documents(_JSON)
    events = say(grown, Token("{"), now_s=5.0)
    grown.take(Token('"a":["x'))
    events += list(grown.end())
    assert values(events) == {"output": {"a": ["x"]}}


@pytest.mark.rule("R32")
def test_events_are_bounded() -> None:
    """However much comes at once."""
    value = {"long": "\x01" * 20_000, "wide": [{"i": i} for i in range(5000)]}
    grown = documents(_JSON, event_bytes=2048)
    events = say(grown, Token(json.dumps(value)))
    assert len(events) > 20
    assert max(len(encode(event)) for event in events) <= 2048
    assert values(events) == {"output": value}


@pytest.mark.rule("R32")
def test_a_long_call_id_makes_no_larger_events() -> None:
    """It stands in each of them, and in what all of them may take."""
    grown = documents({}, event_bytes=16_384, max_bytes=100_000)
    call_id = "\x01" * 600
    events = say(grown, ToolCall(0, call_id, "f", json.dumps([{"i": i} for i in range(5000)])))
    assert len(events) > 5
    assert max(len(encode(event)) for event in events) <= 16_384
    assert sum(len(encode(event)) for event in events) <= 100_000


@pytest.mark.rule("R32")
def test_when_all_that_may_be_told_is_told_the_value_stands() -> None:
    """Told so far, it is a value; the end says why it is no more."""
    grown = documents(_JSON, max_bytes=2000)
    events: list[Json] = []
    pieces = ['{"list": [', *(f'"{i}", ' for i in range(1000)), "0]}"]
    for now_s, piece in enumerate(pieces):
        events += say(grown, Token(piece), now_s=now_s)
    assert grown.due_s is None
    assert list(grown.end()) == []
    elements = values(events)["output"]["list"]

    assert 0 < len(elements) < 100
    assert elements == [str(i) for i in range(len(elements))]
    assert sum(len(encode(event)) for event in events) <= 2000
    assert grown.violations == [
        Violation("output", "", "The value is too large to be streamed as it grows; the text is complete."),
    ]  # fmt: skip


@pytest.mark.rule("R32")
def test_long_paths_cannot_make_more_of_a_text_than_may_be_told() -> None:
    """Each of many elements repeats the way to it."""
    grown = documents(_JSON, max_bytes=100_000)
    events = say(grown, Token('{"' + "k" * 3000 + '":['))
    events += say(grown, Token("1," * 100_000), now_s=9)
    assert sum(len(encode(event)) for event in events) <= 100_000
