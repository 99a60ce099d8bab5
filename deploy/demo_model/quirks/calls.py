"""Owns the quirks of tool calls: members, ids, indices and arguments of their pieces.

Pure; works on chunks. A piece is one entry of `tool_calls`; the first of each call has its id and name.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import (
    SIGNATURE,
    Chunk,
    Item,
    Rewrite,
    behind,
    delta_of,
    each_choice,
    each_delta,
    one_by_one,
    with_delta,
)

Piece = dict[str, Any]

_LONG_ID: Final = "A" * 5_000
_EXTRA: Final = {"google": {"thought_signature": SIGNATURE}}
_INPUT: Final = ("ec", "ho hi")
"""The input of each call of a custom tool, in pieces: such a tool takes a text, not arguments."""


def _piece_of(item: Item) -> Piece | None:
    calls = delta_of(item).get("tool_calls")
    return calls[0] if calls else None


def _each_piece(change: Callable[[Piece], list[Piece]]) -> Rewrite:
    """Replace each piece by others, each in a chunk of its own."""

    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            piece = _piece_of(item)
            if piece is None:
                yield item
                continue
            for changed in change(piece):
                yield with_delta(item, {"tool_calls": [changed]})

    return rewrite


def _first_piece(change: Callable[[Piece], Piece]) -> Rewrite:
    """Change only the piece of each call that has its id."""
    return _each_piece(lambda piece: [change(piece) if piece.get("id") else piece])


def _whole(items: Iterator[Item]) -> Iterator[Item]:
    """Each call in one piece."""
    held: Chunk | None = None
    for item in items:
        piece = _piece_of(item)
        if piece is None:
            if held is not None and isinstance(item, dict | bytes):
                yield held
                held = None
            yield item
        elif piece.get("id") or held is None:
            if held is not None:
                yield held
            held = item
        else:
            before = _piece_of(held) or {}
            arguments = before["function"]["arguments"] + piece["function"]["arguments"]
            whole = before | {"function": before["function"] | {"arguments": arguments}}
            held = with_delta(held, {"tool_calls": [whole]})
    if held is not None:
        yield held


def _arguments(change: Callable[[str], Any]) -> Rewrite:
    """Each call in one piece, with other arguments."""

    def changed(piece: Piece) -> list[Piece]:
        function = piece["function"]
        return [piece | {"function": function | {"arguments": change(function["arguments"])}}]

    return one_by_one(_whole, _each_piece(changed))


def _custom(piece: Piece) -> list[Piece]:
    first, *rest = _INPUT
    custom = {"name": piece["function"]["name"], "input": first}
    index = {"index": piece["index"]}
    return [
        index | {"id": piece["id"], "type": "custom", "custom": custom},
        *(index | {"custom": {"input": text}} for text in rest),
    ]


def _legacy(items: Iterator[Item]) -> Iterator[Item]:
    """One call, as it was written before there were several."""
    for item in _whole(items):
        if (piece := _piece_of(item)) is None:
            yield item
            continue
        function = piece["function"]
        yield with_delta(item, {"function_call": {"name": function["name"], "arguments": ""}})
        yield with_delta(item, {"function_call": {"arguments": function["arguments"]}})


def _legacy_reason(choice: dict[str, Any]) -> dict[str, Any]:
    return choice | {"finish_reason": "function_call"} if choice["finish_reason"] == "tool_calls" else choice


def _name_pieces(piece: Piece) -> list[Piece]:
    name = piece["function"].get("name")
    if not name:
        return [piece]
    index = {"index": piece["index"]}
    return [
        piece | {"function": piece["function"] | {"name": name[:2]}},
        index | {"function": {"name": name[2:], "arguments": ""}},
    ]


def _null_members(piece: Piece) -> list[Piece]:
    """All members on all pieces, null where a member has no value, and behind each a piece without any."""
    function = {"name": None, "arguments": None} | piece["function"]
    members = {"id": None, "type": None} | piece
    return [members | {"function": {**function, "arguments": function["arguments"] or None}}] + (
        [] if piece.get("id") else [{"index": piece["index"], "function": None}]
    )


CALLS: Final[Mapping[str, Rewrite]] = {
    "call_signature": _first_piece(lambda piece: piece | {"extra_content": _EXTRA}),
    "late_signature": behind(
        lambda item: _piece_of(item) is not None,
        lambda last: [
            with_delta(last, {"tool_calls": [{"index": (_piece_of(last) or {})["index"], "extra_content": _EXTRA}]})
        ],
    ),
    "function_call": one_by_one(_legacy, each_choice(_legacy_reason)),
    "custom_tool": one_by_one(_whole, _each_piece(_custom)),
    "whole_calls": _whole,
    "object_arguments": _arguments(json.loads),
    "no_arguments": _arguments(lambda _: ""),
    "null_arguments": _arguments(lambda _: None),
    "name_pieces": _each_piece(_name_pieces),
    "null_members": _each_piece(_null_members),
    "index_jump": _first_piece(lambda piece: piece | {"index": piece["index"] + 3}),
    "string_index": _each_piece(lambda piece: [piece | {"index": str(piece["index"])}]),
    "same_id": _first_piece(lambda piece: piece | {"id": "call_0"}),
    "number_id": _first_piece(lambda piece: piece | {"id": 17 + piece["index"]}),
    "long_id": _first_piece(lambda piece: piece | {"id": piece["id"] + _LONG_ID}),
    "empty_calls": each_delta(lambda delta: {"tool_calls": []} | delta),
}
