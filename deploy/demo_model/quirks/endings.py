"""Owns the quirks of the end: where a finish reason comes, and how it is written.

Pure; works on chunks. Which word is the reason is the option `finish`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import Item, Rewrite, choice_of, delta_of, each_choice, reason_of


def _camel(choice: dict[str, Any]) -> dict[str, Any]:
    reason = choice["finish_reason"]
    return choice | {"finish_reason": None, "finishReason": reason} if reason else choice


def _object(choice: dict[str, Any]) -> dict[str, Any]:
    reason = choice["finish_reason"]
    return choice | {"finish_reason": {"type": reason, "matched": 2}} if reason else choice


def _early_stop(choice: dict[str, Any]) -> dict[str, Any]:
    return choice | {"finish_reason": "stop"} if choice["delta"].get("reasoning_content") else choice


def _no_reason(items: Iterator[Item]) -> Iterator[Item]:
    return (item for item in items if not reason_of(item))


def _on_the_last(items: Iterator[Item]) -> Iterator[Item]:
    """The reason beside the last piece, not in a chunk of its own."""
    last: Item = None
    for item in items:
        if last is not None:
            reason = reason_of(item)
            yield last | {"choices": [(choice_of(last) or {}) | {"finish_reason": reason}]} if reason else last
            last = None
            if reason:
                continue
        if delta_of(item):
            last = item
        else:
            yield item
    if last is not None:
        yield last


ENDINGS: Final[Mapping[str, Rewrite]] = {
    "reason_everywhere": each_choice(lambda choice: choice | {"finish_reason": choice["finish_reason"] or "stop"}),
    "early_stop": each_choice(_early_stop),
    "camel": each_choice(_camel),
    "finish_object": each_choice(_object),
    "no_reason": _no_reason,
    "reason_on_last": _on_the_last,
}
