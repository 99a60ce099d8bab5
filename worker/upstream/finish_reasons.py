"""Owns what a provider's finish reason means: whole, cut, filtered, calls, or broken.

Pure. Providers have words of their own in any case. Words that mean that the provider gave up must never end as
`completed`; a word that nobody knows counts only if the stream ended as a whole one does.
"""

import re
from enum import Enum
from typing import Any, Final

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.json_values import literal

_WORDS: Final = {
    "stop": (
        "stop", "end_turn", "eos", "eos_token", "stop_sequence", "stop_token", "complete", "completed", "finish",
        "finished", "done", "end", "success", "turn_complete", "stop_str",
    ),
    "length": (
        "length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "max_length",
        "model_length",
        "token_limit", "limit", "model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded",
        "context_length", "truncated", "incomplete",
    ),
    "content_filter": (
        "content_filter", "content_filtered", "contentfilter", "safety", "sensitive", "recitation",
        "prohibited_content",
        "blocklist", "spii", "image_safety", "language", "blocked", "guardrail_intervened", "guardrail", "moderation",
        "flagged", "refusal", "content_policy_violation", "risk_control",
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "tools", "function_calls", "function_call"),
}  # fmt: skip
_MEANING: Final = {word: reason for reason, words in _WORDS.items() for word in words}
_BROKEN: Final = re.compile(
    r"abort|error|malformed|fail|insufficient|timeout|timed_out|unavailable|overload|cancel|interrupt|disconnect"
    r"|exception|crash|evict|preempt|unexpected_tool_call|too_many_tool_calls|invalid"
)
"""Stems of words with which engines and gateways say that they gave up."""
_EMPTY: Final = frozenset({"", "null", "none", "nil", "undefined", "finish_reason_unspecified"})


class Verdict(Enum):
    """What follows from a reason."""

    WHOLE = "whole"
    BROKEN = "broken"
    UNKNOWN = "unknown"


def read_reason(value: Any) -> str | None:
    """The provider's own word, or None where there is no reason yet. Some servers send an object around it."""
    if isinstance(value, dict):
        inside = next((value[key] for key in ("type", "reason", "value", "name") if value.get(key)), None)
        if value and inside is None:
            raise UpstreamBroken("upstream_protocol", "The provider's finish reason is an object without a reason.")
        value = inside
    if not value:
        return None
    word = literal(value)
    return None if word.strip().lower() in _EMPTY else word


def judge(word: str) -> tuple[Verdict, str]:
    """The verdict, and OpenAI's word for the reason where there is one, else the provider's own."""
    plain = re.sub(r"[^a-z]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()).strip("_")
    if plain in _MEANING:
        return Verdict.WHOLE, _MEANING[plain]
    if _BROKEN.search(plain):
        return Verdict.BROKEN, word
    return Verdict.UNKNOWN, word
