"""Owns a whole answer as one chat completion, for requests that do not stream.

Pure. Calls that a worker ran are left out: they are done, and whoever gets a call runs it.
"""

from typing import Any

from outlive.api.schemas import Reduced, SnapshotToolCall
from outlive.api.wires.chat.provider_parts import ProviderParts
from outlive.api.wires.openai.openai_ids import CHAT, named


def completion(
    generation_id: str, model: str, created_at: float, reduced: Reduced, parts: ProviderParts
) -> dict[str, Any]:
    """The body for a log that has completed."""
    choice = {
        "index": 0,
        "message": _message(reduced, parts),
        "logprobs": None,
        "finish_reason": reduced["finish_reason"],
    }
    return parts.response | {
        "id": named(CHAT, generation_id),
        "object": "chat.completion",
        "created": int(created_at),
        "model": model,
        "choices": [choice],
        "usage": reduced["usage"],
    }


def _message(reduced: Reduced, parts: ProviderParts) -> dict[str, Any]:
    message: dict[str, Any] = parts.message | {
        "role": "assistant",
        "content": reduced["text"] or None,
        "refusal": reduced["refusal"] or None,
    }
    if reduced["reasoning"]:
        message["reasoning_content"] = reduced["reasoning"]
    done = {result["id"] for result in reduced["tool_results"]}
    due = [call for call in reduced["tool_calls"] if call["id"] not in done]
    calls = [parts.calls.get(call["id"] or "", {}) | _call(call) for call in due]
    return message | {"tool_calls": calls} if calls else message


def _call(call: SnapshotToolCall) -> dict[str, Any]:
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": call["arguments"]},
    }
