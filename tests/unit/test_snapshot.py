"""A log reduced to the answer so far."""

from typing import Any

import pytest

from outlive.api.generations.snapshot import Reduction
from outlive.api.schemas import Reduced
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode_json
from outlive.shared.model.cursor import Cursor

QUEUED = ("queued", {"id": "gen_1", "model": "m", "created_at": 1.0})
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
COMPLETED = ("completed", {"finish_reason": "stop", "usage": USAGE, "chars": 1, "events": 1})


def attempt(number: int) -> tuple[str, dict[str, Any]]:
    return ("attempt", {"attempt": number, "reason": "started"})


def token(text: str) -> tuple[str, dict[str, Any]]:
    return ("token", {"text": text})


def reduced(*events: tuple[str, dict[str, Any]]) -> Reduced:
    reduction = Reduction()
    for seq, (kind, data) in enumerate(events):
        reduction.add(Logged(Cursor(7, seq), kind.encode(), encode_json(data)))
    return reduction.result()


def test_before_an_attempt_it_is_queued() -> None:
    """And its cursor is the last event read."""
    answer = reduced(QUEUED)
    assert (answer["status"], answer["attempt"], answer["cursor"], answer["text"]) == ("queued", 0, "7-0", "")


def test_pieces_are_joined_by_kind() -> None:
    """In their order, while it runs."""
    pieces = [token("a"), ("reasoning", {"text": "r"}), token("b"), ("refusal", {"text": "no"})]
    answer = reduced(QUEUED, attempt(1), *pieces)
    assert (answer["status"], answer["text"], answer["reasoning"], answer["refusal"]) == ("running", "ab", "r", "no")


def test_a_new_attempt_forgets_everything() -> None:
    """Only its own output counts."""
    answer = reduced(QUEUED, attempt(1), token("lost"), attempt(2), token("kept"), COMPLETED)
    assert (answer["attempt"], answer["text"], answer["status"]) == (2, "kept", "completed")
    assert (answer["usage"], answer["finish_reason"]) == (USAGE, "stop")


def test_what_is_beyond_the_cut_does_not_count() -> None:
    """A failover may leave it there."""
    end = ("failed", {"code": "worker_lost", "message": "m", "retryable": True, "usage": USAGE, "cut": "7-2"})
    answer = reduced(QUEUED, attempt(1), token("kept"), token("beyond"), end)
    assert answer["text"] == "kept"
    assert answer["error"] == {"code": "worker_lost", "message": "m", "retryable": True}


def test_pieces_of_a_call_are_one_call() -> None:
    """Ordered by index; id and name come with the first piece."""
    calls = [
        ("tool_call", {"index": 1, "id": "b", "name": "g", "arguments": "{"}),
        ("tool_call", {"index": 0, "id": "a", "name": "f", "arguments": "{}"}),
        ("tool_call", {"index": 1, "arguments": "}"}),
        ("tool_result", {"id": "a", "name": "f", "content": "done", "duration_ms": 3}),
    ]
    answer = reduced(QUEUED, attempt(1), *calls)
    assert [(call["id"], call["arguments"]) for call in answer["tool_calls"]] == [("a", "{}"), ("b", "{}")]
    assert answer["tool_results"] == [
        {"id": "a", "name": "f", "content": "done", "error": None, "duration_ms": 3},
    ]


def test_json_steps_are_one_value_for_each_target() -> None:
    """As a viewer would have it; asking twice gives the same."""
    reduction = Reduction()
    steps = [{"op": "set", "path": "", "value": {}}, {"op": "add", "path": "/a", "value": 1}]
    events = [QUEUED, attempt(1), *(("json", {"target": "output", "ops": [step]}) for step in steps)]
    for seq, (kind, data) in enumerate(events):
        reduction.add(Logged(Cursor(7, seq), kind.encode(), encode_json(data)))
    assert [reduction.result()["json"] for _ in range(2)] == [{"output": {"a": 1}}] * 2


@pytest.mark.rule("R12")
def test_unknown_events_are_passed_over() -> None:
    """But the cursor goes on after them."""
    answer = reduced(QUEUED, attempt(1), token("a"), ("later", {"text": "?"}))
    assert (answer["text"], answer["cursor"]) == ("a", "7-3")
