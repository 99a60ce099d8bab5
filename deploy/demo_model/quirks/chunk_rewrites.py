"""Owns the common part of quirks: chunks as decoded JSON, and ways to apply one change to each of them.

Pure. The items of a stream are chunks (dicts), frames that are bytes already, and steps of the script that only
`player` understands. A rewrite changes chunks and passes everything else on at once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Chunk = dict[str, Any]
Delta = dict[str, Any]
Item = Any
Rewrite = Callable[[Iterator[Item]], Iterator[Item]]

DONE: Final = b"data: [DONE]\n\n"
SIGNATURE: Final = "c2lnbmF0dXJlLW9mLWEtdGhvdWdodA=="
"""The signature of the reasoning. The provider wants it back."""


def with_delta(chunk: Chunk, delta: Delta) -> Chunk:
    """The same chunk around another delta. It ends nothing and counts nothing."""
    return chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def choice_of(item: Item) -> dict[str, Any] | None:
    """The choice in this item, if it is a chunk that has one."""
    choices = item.get("choices") if isinstance(item, dict) else None
    return choices[0] if choices else None


def delta_of(item: Item) -> Delta:
    """The delta in this item; an empty one if it has none."""
    choice = choice_of(item)
    return (choice.get("delta") if choice else None) or {}


def reason_of(item: Item) -> Any:
    """The finish reason in this item, if any."""
    choice = choice_of(item)
    return choice.get("finish_reason") if choice else None


def each_choice(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Rewrite:
    """Change the choice of each chunk that has one."""

    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            choice = choice_of(item)
            yield item if choice is None else item | {"choices": [change(choice)]}

    return rewrite


def each_delta(change: Callable[[Delta], Delta]) -> Rewrite:
    """Change the delta of each chunk that has one."""
    return each_choice(lambda choice: choice | {"delta": change(choice["delta"])} if choice.get("delta") else choice)


def each_text(name: str, change: Callable[[str], Delta]) -> Rewrite:
    """Replace the member `name` of each delta, where it holds text, by the members that `change` makes of it."""

    def changed(delta: Delta) -> Delta:
        if not delta.get(name):
            return delta
        return {key: value for key, value in delta.items() if key != name} | change(delta[name])

    return each_delta(changed)


def one_by_one(*rewrites: Rewrite) -> Rewrite:
    """All of them, in this order."""

    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        for each in rewrites:
            items = each(items)
        return items

    return rewrite


def behind(is_before: Callable[[Item], bool], frames: Callable[[Chunk], Iterable[Item]]) -> Rewrite:
    """Add items between the last chunk of one kind and the first chunk of another, and only there."""

    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        last: Chunk | None = None
        for item in items:
            if is_before(item):
                last = item
            elif last is not None and not isinstance(item, dict | bytes):
                # A step for the player, between two chunks of the same kind.
                pass
            elif last is not None:
                yield from frames(last)
                last = None
            yield item

    return rewrite
