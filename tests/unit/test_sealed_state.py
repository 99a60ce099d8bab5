"""State of a provider that goes through a client and back."""

from typing import Any

import pytest

from outlive.api.wires.responses.input_items import messages_of
from outlive.api.wires.responses.sealed_state import seal, unseal

pytestmark = pytest.mark.rule("R69")

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
THOUGHT = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


def test_state_comes_back_as_it_was() -> None:
    """And what is not ours is nothing: another server's text, a broken one, no text at all."""
    state = {"message": {"reasoning_details": [{"data": "\ud83d"}]}, "calls": {"c1": {"extra_content": 1}}}
    assert unseal(seal(state)) == state
    for other in (None, 7, "", "gAAAA...", "ol1.", "ol1.W10=", "ol1.\u00fc", seal(state)[:-5] + "!"):
        assert unseal(other) is None


def test_a_client_that_sends_items_back_sends_the_state_back() -> None:
    """Reasoning under the provider's name, members of the message and of the call."""
    state = {"message": {"details": 1}, "calls": {"c1": {"extra_content": 2}}, "reasoning_as": "reasoning_content"}
    sealed = {"type": "reasoning", "summary": [], "content": [], "encrypted_content": seal(state)}
    output = {"type": "function_call_output", "call_id": "c1", "output": "42"}
    turn, result = messages_of([THOUGHT, CALL, sealed, output])
    assert turn == {
        "role": "assistant",
        "content": "",
        "details": 1,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": 2}
        ],
    }
    assert result["role"] == "tool"


@pytest.mark.parametrize("items", [[THOUGHT], [THOUGHT, {"role": "assistant", "content": "a"}]])
def test_reasoning_without_state_is_left_out(items: list[Any]) -> None:
    """Chat providers refuse it in requests."""
    assert messages_of(items) == [{"role": "assistant", "content": "a"}][: len(items) - 1]


def test_state_cannot_replace_what_a_message_is() -> None:
    """A client may write its own: only opaque members are taken."""
    state = {
        "message": {"role": "system", "content": "x", "tool_calls": []},
        "calls": {"c1": {"id": "x", "function": 1}},
    }
    sealed = {"type": "reasoning", "encrypted_content": seal(state)}
    (turn,) = messages_of([CALL, sealed])
    assert (turn["role"], turn["content"], turn["tool_calls"][0]["id"]) == ("assistant", "", "c1")
