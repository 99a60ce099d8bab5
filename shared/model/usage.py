"""Owns the guess at token counts for when the provider gave none (R14).

Pure. The guess is marked `estimated` wherever it is shown: four characters a token is OpenAI's own
rule of thumb for English, and far off for code or Chinese.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from outlive.shared.model.events import Usage

_CHARS_PER_TOKEN: Final = 4


def estimate_prompt(request: dict[str, Any]) -> int:
    """Tokens of a Chat Completions request, from the characters of its messages."""
    return _tokens(sum(_chars(message) for message in request.get("messages", ())))


def estimate_output(pieces: int, chars: int) -> int:
    """Tokens said so far: a piece holds at least one token, and providers may send several in one."""
    return max(pieces, _tokens(chars))


def estimated(prompt_tokens: int, completion_tokens: int) -> Usage:
    return Usage(prompt_tokens, completion_tokens, prompt_tokens + completion_tokens, estimated=True)


def total(usages: Iterable[Usage]) -> Usage:
    """Of an answer that took several requests. A guess in one of them makes the sum a guess."""
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
    """Counts are added; of anything else a provider puts there, the last word stands."""
    found: dict[str, Any] = {}
    for detail in details:
        for name, value in (detail or {}).items():
            is_count = type(value) in (int, float) and type(found.get(name)) in (int, float)
            found[name] = found[name] + value if is_count else value
    return found or None


def _tokens(chars: int) -> int:
    return -(-chars // _CHARS_PER_TOKEN)


def _chars(value: Any) -> int:
    # A loop, because the caller decides how deeply a message is nested.
    found, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            found += len(part)
        elif isinstance(part, dict):
            waiting.extend(inner for key, inner in part.items() if key != "role")
        elif isinstance(part, list):
            waiting.extend(part)
    return found
