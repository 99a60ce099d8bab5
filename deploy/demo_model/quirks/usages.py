"""Owns the quirks of usage: names, places and values of the counts.

Pure; works on chunks. The last chunk with a usage has no choices, as at OpenAI, and comes only if it is asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import Item, Rewrite, delta_of, reason_of

_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


def _usage_of(item: Item) -> dict[str, Any] | None:
    return item.get("usage") if isinstance(item, dict) else None


def _counts(change: Callable[[dict[str, Any]], Any]) -> Rewrite:
    """Replace the usage by another value."""

    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            usage = _usage_of(item)
            yield item if usage is None else item | {"usage": change(usage)}

    return rewrite


def _all(value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda usage: usage | dict.fromkeys(_COUNTS, value)


def _input_output(usage: dict[str, Any]) -> dict[str, Any]:
    prompt, completion, total = (usage[name] for name in _COUNTS)
    return {"input_tokens": prompt, "output_tokens": completion, "total_tokens": total}


def _in_choice(items: Iterator[Item]) -> Iterator[Item]:
    """In the choice that has the reason, so the reason waits for it."""
    held: Item = None
    for item in items:
        usage = _usage_of(item)
        if held is not None:
            choices = held["choices"] if usage is None else [held["choices"][0] | {"usage": usage}]
            yield held | {"choices": choices}
            held = None
            if usage is not None:
                continue
        if reason_of(item):
            held = item
        else:
            yield item
    if held is not None:
        yield held


def _zero_first(items: Iterator[Item]) -> Iterator[Item]:
    """Zeros on every chunk until the counts are known."""
    zeros = dict.fromkeys(_COUNTS, 0)
    for item in items:
        yield item | {"usage": zeros} if delta_of(item) else item


def _cumulative(items: Iterator[Item]) -> Iterator[Item]:
    """What has been counted so far, on every chunk."""
    count = 0
    for item in items:
        if not delta_of(item):
            yield item
            continue
        yield item | {"usage": dict(zip(_COUNTS, (7, count, 7 + count), strict=True))}
        count += 1


USAGES: Final[Mapping[str, Rewrite]] = {
    "usage_input_output": _counts(_input_output),
    "usage_in_choice": _in_choice,
    "usage_zero_first": _zero_first,
    "usage_cumulative": _cumulative,
    "usage_minus_one": _counts(_all(-1)),
    "usage_zero": _counts(_all(0)),
    "usage_total_only": _counts(lambda usage: {"total_tokens": usage["total_tokens"], "total_characters": 5}),
    "usage_list": _counts(lambda usage: [usage["total_tokens"]]),
    "usage_text": _counts(lambda usage: usage | {name: str(usage[name]) for name in _COUNTS}),
    "usage_null_details": _counts(lambda usage: usage | {"prompt_tokens_details": None, "cost": 0.001}),
}
