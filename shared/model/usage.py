"""Owns the estimate of token counts when the provider sent none (R14).

Pure. An estimate is marked `estimated` wherever it appears: four characters a token is OpenAI's own rule of thumb for
English, and far off for code or Chinese.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from outlive.shared.model.events import Usage

CHARS_PER_TOKEN: Final = 4


def estimate_prompt(request: dict[str, Any]) -> int:
    """Tokens of a Chat Completions request, from the characters of its messages."""
    return _tokens(sum(_chars(message) for message in request.get("messages", ())))


def estimate_output(pieces: int, chars: int) -> int:
    """Tokens of the output so far: a piece holds at least one token, and providers may send several in one."""
    return max(pieces, _tokens(chars))


def estimated(prompt_tokens: int, completion_tokens: int) -> Usage:
    """Usage that is marked as an estimate."""
    return Usage(prompt_tokens, completion_tokens, prompt_tokens + completion_tokens, estimated=True)


def total(usages: Iterable[Usage]) -> Usage:
    """The usage of an answer that took several requests. An estimate in one of them makes the sum an estimate."""
    parts = list(usages)
    return Usage(
        sum(usage.prompt_tokens for usage in parts),
        sum(usage.completion_tokens for usage in parts),
        sum(usage.total_tokens for usage in parts),
        any(usage.estimated for usage in parts) or None,
        _summed(usage.prompt_tokens_details for usage in parts),
        _summed(usage.completion_tokens_details for usage in parts),
    )


def _summed(details: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Adds counts; of any other value that a provider puts there, keeps the last."""
    sums: dict[str, Any] = {}
    for detail in details:
        for name, value in (detail or {}).items():
            is_count = type(value) in (int, float) and type(sums.get(name)) in (int, float)
            sums[name] = sums[name] + value if is_count else value
    return sums or None


def _tokens(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def _chars(value: Any) -> int:
    # A loop, not a recursion, because the client decides how deeply a message is nested.
    chars, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            chars += len(part)
        elif isinstance(part, dict):
            waiting.extend(inner for key, inner in part.items() if key != "role")
        elif isinstance(part, list):
            waiting.extend(part)
    return chars
