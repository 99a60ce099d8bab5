"""Owns what a provider sent that nobody here understands, and that it wants back: signatures, details of its reasoning.

Pure. Opaque members are kept as they came, merged over the pieces of one turn, within a bound. They go into the
log, back to the provider with the next request, and out on the wires that have a member for them.
"""

from collections.abc import Mapping
from typing import Any, Final

from outlive.shared.model.codec import encode_json

MAX_BYTES: Final = 262_144
"""Of JSON, for one turn and for one call. Signatures are a few kB; an image is not state that goes back."""

_GROWS: Final = frozenset({"text", "thinking", "summary", "content", "arguments", "input", "reasoning", "partial_json"})
"""Strings under these names come in pieces. Any other string is whole each time it comes."""


class ProviderPart:
    """The opaque members of one turn, or of one call."""

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}
        self._bytes = 0
        self._left_out: set[str] = set()

    def merge(self, members: Mapping[str, Any]) -> None:
        """Take in the members of one more piece. Those that no longer fit are left out, by name."""
        for name, value in members.items():
            if name in self._left_out or _is_empty(value):
                continue
            if name not in _GROWS and self._members.get(name) == value:
                # Many servers repeat the same members on every chunk.
                continue
            merged = _merged(self._members.get(name), value, grows=name in _GROWS)
            size = len(encode_json({name: merged}))
            held = len(encode_json({name: self._members[name]})) if name in self._members else 0
            if self._bytes - held + size > MAX_BYTES:
                self._members.pop(name, None)
                self._bytes -= held
                self._left_out.add(name[:64])
                continue
            self._members[name] = merged
            self._bytes += size - held

    @property
    def left_out(self) -> set[str]:
        """Names of the members that were too large to keep."""
        return self._left_out

    def members(self) -> dict[str, Any] | None:
        """As they go into the log and back to the provider; None where there is nothing."""
        return self._members or None


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _merged(before: Any, value: Any, *, grows: bool) -> Any:
    if before is None or value is None:
        return value if before is None else before
    if isinstance(before, dict) and isinstance(value, dict):
        merged = dict(before)
        for name, inner in value.items():
            merged[name] = _merged(merged.get(name), inner, grows=name in _GROWS)
        return merged
    if isinstance(before, list) and isinstance(value, list):
        return _merged_lists(before, value)
    if grows and isinstance(before, str) and isinstance(value, str):
        return before + value
    return value


def _merged_lists(before: list[Any], items: list[Any]) -> list[Any]:
    """Items with the `index` of one before go on with it; all others are new."""
    merged = list(before)
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        at = next(
            (
                n
                for n, old in enumerate(merged)
                if index is not None and isinstance(old, dict) and old.get("index") == index
            ),
            None,
        )
        if at is None:
            if item not in merged:
                merged.append(item)
        else:
            merged[at] = _merged(merged[at], item, grows=False)
    return merged
