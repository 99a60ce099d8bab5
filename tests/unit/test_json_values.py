"""Any JSON value where text belongs, as pieces of an answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import Reasoning, Refusal, Token
from outlive.worker.upstream.json_values import literal, pieces_of_value

pytestmark = pytest.mark.rule("R15")

_scalar = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(min_size=1, max_size=5)
)
_names = st.sampled_from(["type", "text", "thinking", "summary", "content", "x", "image_url", "reference_ids"])
_types = st.sampled_from(["text", "thinking", "reasoning", "reference", "image_url", "refusal", "summary_text"])
_value: Any = st.recursive(
    _scalar,
    lambda v: st.lists(v, max_size=3)
    | st.dictionaries(_names.filter(lambda name: name != "type"), v, max_size=3)
    | st.builds(lambda name, members: {"type": name, **members}, _types, st.dictionaries(_names.filter(lambda n: n !=
    "type"), v, max_size=2)), max_leaves=8,
)  # fmt: skip


def _scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for name, inner in value.items() if name != "type" for one in _scalars(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in _scalars(inner)]
    return [] if value is None or value == "" else [value]


@pytest.mark.parametrize("kind", [Token, Reasoning, Refusal])
@given(value=_scalar | st.lists(_scalar, max_size=4))
def test_no_scalar_is_ever_lost(kind: Any, value: Any) -> None:
    """Zero, false and numbers are words of an answer like any other."""
    pieces = pieces_of_value(value, kind, pytest.fail)
    assert "".join(piece.text for piece in pieces) == "".join(
        map(literal, value if isinstance(value, list) else [value])
    )
    assert all(type(piece) is kind for piece in pieces)


@given(value=_value)
def test_of_any_value_each_scalar_is_a_piece_or_kept(value: Any) -> None:
    """What is not text is handed back whole, for the provider."""
    kept: list[Any] = []
    pieces = pieces_of_value(value, Token, kept.append)
    everything = "".join(piece.text for piece in pieces) + encode_json(kept).decode()
    for scalar in _scalars(value):
        text = literal(scalar)
        assert text in everything or encode_json(text).decode()[1:-1] in everything


def test_numbers_are_written_as_json_writes_them() -> None:
    """`0.5` stays what it is, and true is not True."""
    assert [literal(value) for value in (0, 0.5, True, None, "x", [1], {"a": None})] == [
        "0", "0.5", "true", "", "x", "[1]", '{"a":null}',
    ]  # fmt: skip
