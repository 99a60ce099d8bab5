"""Owns the conversation of one attempt: the request's messages, and the rounds that followed.

Pure. A round is the model's text, the calls it made, and their results; the next request shows the model all rounds so
far. Knows neither how calls come in nor how tools are run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlive.shared.model.events import ToolCallDone, ToolResult


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the model: its text, its calls, and the results so far by call id."""

    text: str
    calls: Sequence[ToolCallDone]
    results: dict[str, ToolResult]
    finish_reason: str = "tool_calls"
    reasoning: str = ""
    provider: Mapping[str, Any] | None = None
    """What only the provider understands of it (`Turn.provider`)."""

    @property
    def without_result(self) -> list[ToolCallDone]:
        """The calls that have no result yet."""
        return [call for call in self.calls if call.id not in self.results]


class Conversation:
    """Grows by rounds; `request` is the next one for the model."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.rounds = 0

    def add(self, done: Round) -> None:
        """Show the model this round, all calls of which have results."""
        self.rounds += 1
        turn = _returned(done) | {
            "role": "assistant",
            # Not null, which strict servers refuse beside calls.
            "content": done.text,
            "tool_calls": [_as_sent(call) for call in done.calls],
        }
        results = [_as_message(done.results[call.id]) for call in done.calls]
        self.request = _unforced(self.request) | {"messages": [*self.request["messages"], turn, *results]}


def _as_sent(call: ToolCallDone) -> dict[str, Any]:
    # Some providers send an empty text for no arguments, and refuse it when it comes back.
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return (call.provider or {}) | {"id": call.id, "type": "function", "function": function}


def _returned(done: Round) -> dict[str, Any]:
    """What the provider wants back of its own turn: its reasoning under its own name, and its opaque members. Models
    that think between calls refuse a request without them."""
    provider = done.provider or {}
    name = provider.get("reasoning_as")
    reasoning = {name: done.reasoning} if name and done.reasoning else {}
    return reasoning | dict(provider.get("message") or {})


def _as_message(result: ToolResult) -> dict[str, Any]:
    content = result.content if result.error is None else f"Error: {result.error}"
    return {"role": "tool", "tool_call_id": result.id, "content": content}


def _unforced(request: dict[str, Any]) -> dict[str, Any]:
    """Without a forced call: a model that must call a tool in every round could never answer."""
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and isinstance(allowed := choice.get("allowed_tools"), dict):
        # Which tools it may call stays as it was.
        return request | {"tool_choice": choice | {"allowed_tools": allowed | {"mode": "auto"}}}
    if choice == "required" or isinstance(choice, dict):
        return {name: value for name, value in request.items() if name != "tool_choice"}
    return request
