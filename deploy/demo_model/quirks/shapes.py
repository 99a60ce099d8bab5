"""Owns the quirks of chunks: members around a delta, and answers that are not in deltas at all.

Pure; works on chunks. Runs behind the quirks of texts, calls, endings and usages, so that it has their result.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import (
    DONE,
    Chunk,
    Item,
    Rewrite,
    choice_of,
    delta_of,
    each_choice,
    reason_of,
)

_JOINED: Final = ("content", "reasoning_content", "refusal")


def _completion(items: Iterator[Item]) -> Iterator[Item]:
    """All chunks as one completion; all other items but `[DONE]` come before it."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    last: Chunk = {}
    usage: Any = None
    reason: Any = None
    for item in items:
        if not isinstance(item, dict):
            if item != DONE:
                yield item
            continue
        last, usage, reason = item, item.get("usage") or usage, reason_of(item) or reason
        _add(message, delta_of(item))
    choice = {"index": 0, "message": message, "finish_reason": reason}
    if last:
        yield last | {"object": "chat.completion", "choices": [choice], "usage": usage}


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _JOINED:
        if isinstance(delta.get(name), str) and delta[name]:
            message[name] = (message.get(name) or "") + delta[name]
    for piece in delta.get("tool_calls", ()):
        calls = message.setdefault("tool_calls", [])
        if piece.get("id"):
            members = {name: value for name, value in piece.items() if name != "index"}
            calls.append(members | {"function": dict(piece.get("function") or {})})
        elif piece.get("function"):
            calls[-1]["function"]["arguments"] += piece["function"]["arguments"]


def _message(items: Iterator[Item]) -> Iterator[Item]:
    yield from _completion(items)
    yield DONE


def _message_beside(items: Iterator[Item]) -> Iterator[Item]:
    """Perplexity: each chunk has its delta, and the message as it is so far."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for item in items:
        choice = choice_of(item)
        if choice is None:
            yield item
            continue
        _add(message, choice.get("delta") or {})
        yield item | {"choices": [choice | {"message": dict(message)}]}


def _as_text(choice: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in choice.items() if name != "delta"}
    return rest | {"text": choice["delta"].get("content") or ""}


def _azure(items: Iterator[Item]) -> Iterator[Item]:
    """Filter results without a choice or without a delta, and a null delta at the end."""
    blank = {"id": "", "object": "", "created": 0, "model": ""}
    severities = {"hate": {"filtered": False, "severity": "safe"}}
    yield blank | {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": severities}]}
    for item in items:
        choice = choice_of(item)
        if choice is None or not choice["finish_reason"]:
            yield item
            continue
        offsets = {"check_offset": 1, "start_offset": 1, "end_offset": 9}
        checked = {"index": 0, "finish_reason": None, "content_filter_results": {}, "content_filter_offsets": offsets}
        yield blank | {"choices": [checked]}
        yield item | {"choices": [choice | {"delta": None, "content_filter_results": {}}]}
        yield blank | {"choices": [checked]}


def _groq(items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        usage = item.get("usage") if isinstance(item, dict) else None
        x_groq = {"id": "req_1"} | ({} if usage is None else {"usage": usage})
        yield item | {"x_groq": x_groq} if isinstance(item, dict) else item


SHAPES: Final[Mapping[str, Rewrite]] = {
    "message": _message,
    "message_beside": _message_beside,
    "whole": _completion,
    "bare_whole": _message,
    "text": each_choice(_as_text),
    "choice_one": each_choice(lambda choice: choice | {"index": 1}),
    "azure": _azure,
    "groq": _groq,
    "nan": each_choice(lambda choice: choice | {"logprobs": {"x": -math.inf, "y": math.nan}}),
}
BARE: Final = frozenset({"whole", "bare_whole"})
"""Their chunks are written as JSON and nothing else."""
