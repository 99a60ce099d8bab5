"""What the model is shown in the next turn."""

from typing import Any

import pytest

from outlive.shared.model.events import ToolCallDone, ToolResult
from outlive.worker.attempt.conversation import Conversation, Round

ASKED = {"model": "m", "messages": [{"role": "user", "content": "how warm is it?"}], "temperature": 0.5}
CALL = ToolCallDone(0, "a", "weather", '{"city":"Oslo"}')
EMPTY = ToolCallDone(1, "b", "clock", "")
RESULTS = {"b": ToolResult("b", "clock", None, "It is broken.", 1), "a": ToolResult("a", "weather", "12", None, 2)}


def test_a_round_is_added_as_the_provider_would_have_it() -> None:
    """Calls with their results in the calls' order, whichever came first; all else as it was asked."""
    conversation = Conversation(ASKED)
    conversation.add(Round("Let me see.", [CALL, EMPTY], RESULTS))

    assert conversation.request == ASKED | {
        "messages": [
            {"role": "user", "content": "how warm is it?"},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                {"id": "b", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "12"},
            {"role": "tool", "tool_call_id": "b", "content": "Error: It is broken."},
        ]
    }  # fmt: skip
    assert ASKED["messages"] == [{"role": "user", "content": "how warm is it?"}]


def test_rounds_are_counted_and_follow_each_other() -> None:
    """A turn without text has null there, as OpenAI has it."""
    conversation = Conversation(ASKED)
    for _ in range(2):
        conversation.add(Round("", [CALL], RESULTS))
    assert conversation.rounds == 2
    roles = [message["role"] for message in conversation.request["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert conversation.request["messages"][1]["content"] == ""


@pytest.mark.rule("R41")
@pytest.mark.parametrize(
    ("choice", "later"),
    [
        ("auto", {"tool_choice": "auto"}),
        ("none", {"tool_choice": "none"}),
        ("required", {}),
        ({"type": "function", "function": {"name": "weather"}}, {}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [1]}},
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [1]}}},
        ),
    ],
    ids=str,
)
def test_a_choice_that_forces_a_call_forces_it_once(choice: Any, later: dict[str, Any]) -> None:
    """What does not force stands."""
    conversation = Conversation(ASKED | {"tool_choice": choice})
    conversation.add(Round("", [CALL], RESULTS))
    assert {k: v for k, v in conversation.request.items() if k == "tool_choice"} == later


def test_calls_without_a_result_are_known() -> None:
    """They are run, or they are the caller's."""
    assert Round("", [CALL, EMPTY], {"a": RESULTS["a"]}).without_result == [EMPTY]


@pytest.mark.rule("R69")
def test_the_provider_gets_back_what_only_it_understands() -> None:
    """Its reasoning under its own name, members of the message and of each call; and nothing else, because strict
    servers refuse what they do not know."""
    conversation = Conversation({"messages": []})
    call = ToolCallDone(0, "a", "weather", "{}", {"extra_content": {"x": 1}})
    provider = {
        "message": {"reasoning_details": [1]},
        "response": {"citations": [2]},
        "reasoning_as": "reasoning_content",
    }
    conversation.add(Round("", [call], RESULTS, reasoning="hm", provider=provider))
    assert conversation.request["messages"][0] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "reasoning_details": [1],
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "weather", "arguments": "{}"},
                "extra_content": {"x": 1},
            }
        ],
    }
