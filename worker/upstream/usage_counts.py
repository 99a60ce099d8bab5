"""Owns the reading of a provider's counts of tokens, in whichever spelling and place they come (R14).

Pure. Counts never break an answer: what is not a count is left out, and a usage that says nothing is no usage, so
that the worker's own estimate, marked as one, takes its place.
"""

from typing import Any, Final

from outlive.shared.model.events import Usage

MAX_COUNT: Final = 2**53 - 1
"""Readers of JSON disagree about larger whole numbers."""
_MAX_DETAILS: Final = 16
_MAX_NAME: Final = 682
"""Characters of a detail's name: 4 kB of JSON at the widest."""
_PROMPT: Final = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
_COMPLETION: Final = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
_TOTAL: Final = ("total_tokens", "totalTokenCount")
_PROMPT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS: Final = ("completion_tokens_details", "output_tokens_details")


def read_usage(value: Any) -> Usage | None:
    """The provider's usage. None where it says nothing: no counts, or the zeros that servers send until they know."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _first(value, _PROMPT), _first(value, _COMPLETION)
    if not prompt and not completion:
        return None
    prompt, completion = prompt or 0, completion or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_first(value, _TOTAL) or prompt + completion,
        prompt_tokens_details=_details(value, _PROMPT_DETAILS),
        completion_tokens_details=_details(value, _COMPLETION_DETAILS),
    )


def _first(usage: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((count for name in names if (count := _count(usage.get(name))) is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def _details(usage: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any] | None:
    """The members that are counts; nobody could add up the rest."""
    details: dict[str, Any] = next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})
    counts = {
        name: value
        for name, value in details.items()
        if type(value) is int and 0 <= value <= MAX_COUNT and len(name) <= _MAX_NAME
    }
    return dict(list(counts.items())[:_MAX_DETAILS]) or None
