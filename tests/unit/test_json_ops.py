"""Ops on a growing JSON value: what each does, and that fewer of them do the same."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.model.codec import encode_json
from outlive.shared.model.json_ops import NOTHING, Op, apply, child, compose

_scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text("a/~0\U0001f600", max_size=3)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a/~0", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def steps(draw: st.DrawFn, start: Any = NOTHING) -> tuple[Any, list[Op]]:
    """A value to begin with, and ops that fit it, anywhere in it; more than a worker would say."""
    first = copy.deepcopy(start)
    value, ops = start, list[Op]()
    for _ in range(draw(st.integers(0, 12))):
        op = draw(st.sampled_from(_fitting(value)))
        if op["op"] == "append":
            op["value"] = draw(st.text("ab", min_size=1, max_size=2))
        else:
            op["value"] = draw(_values)
        ops.append(copy.deepcopy(op))
        value = apply(value, [copy.deepcopy(op)])
    return first, ops


def _fitting(value: Any) -> list[Op]:
    """Every op that fits, without its value."""
    found: list[Op] = [{"op": "set", "path": "", "value": None}]

    def walk(node: Any, path: str) -> None:
        if path:
            found.append({"op": "set", "path": path, "value": None})
        if isinstance(node, str):
            found.append({"op": "append", "path": path, "value": None})
        if isinstance(node, list):
            found.append({"op": "add", "path": child(path, len(node)), "value": None})
        if isinstance(node, dict) and "new" not in node:
            found.append({"op": "add", "path": child(path, "new"), "value": None})
        inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, each in inner:
            walk(each, child(path, key))

    if value is not NOTHING:
        walk(value, "")
    return found


@pytest.mark.rule("R33")
@given(steps() | _values.flatmap(steps))
def test_composed_ops_do_the_same(told: tuple[Any, list[Op]]) -> None:
    """On whatever value they begin with; composed again they stay as they are."""
    start, ops = told
    composed = compose(copy.deepcopy(ops))

    assert len(composed) <= len(ops)
    assert apply(copy.deepcopy(start), copy.deepcopy(composed)) == apply(copy.deepcopy(start), copy.deepcopy(ops))
    assert encode_json(compose(copy.deepcopy(composed))) == encode_json(composed)
    if any(op["op"] == "set" and op["path"] == "" for op in ops):
        assert [op["op"] for op in composed] == ["set"]


@pytest.mark.rule("R33")
def test_a_long_growth_composes_in_linear_time() -> None:
    """A string told in 200,000 pieces is not copied 200,000 times."""
    ops: list[Op] = [{"op": "set", "path": "", "value": {"a": ""}}]
    ops += [{"op": "append", "path": "/a", "value": "xxxxxxxxxxxxxxxx"} for _ in range(200_000)]
    assert compose(ops) == [{"op": "set", "path": "", "value": {"a": "x" * 3_200_000}}]


@pytest.mark.rule("R33")
def test_growth_without_its_beginning_stays_growth() -> None:
    """Appends to what was told before join; what was added takes in what follows inside it."""
    ops: list[Op] = [
        {"op": "append", "path": "/a/0", "value": "b"}, {"op": "append", "path": "/a/0", "value": "c"},
        {"op": "add", "path": "/a/1", "value": {}}, {"op": "add", "path": "/a/1/k", "value": "d"},
        {"op": "append", "path": "/a/1/k", "value": "e"}, {"op": "add", "path": "/f", "value": 1},
    ]  # fmt: skip
    assert compose(ops) == [
        {"op": "append", "path": "/a/0", "value": "bc"}, {"op": "add", "path": "/a/1", "value": {"k": "de"}},
        {"op": "add", "path": "/f", "value": 1},
    ]  # fmt: skip


@pytest.mark.rule("R30")
def test_paths_are_json_pointers() -> None:
    """The examples of RFC 6901, section 5."""
    document = {
        "foo": ["bar", "baz"],
        "": 0,
        "a/b": 1,
        "c%d": 2,
        "e^f": 3,
        "g|h": 4,
        "i\\j": 5,
        'k"l': 6,
        " ": 7,
        "m~n": 8,
    }
    pointers = ["/foo/0", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", '/k"l', "/ ", "/m~0n"]
    value = copy.deepcopy(document)
    for pointer in pointers:
        value = apply(value, [{"op": "set", "path": pointer, "value": pointer}])

    assert json.dumps(value) == json.dumps(
        {"foo": ["/foo/0", "baz"]} | dict(zip(list(document)[1:], pointers[1:], strict=True))
    )
    assert [child("", key) for key in list(document)[1:]] == pointers[1:]


@pytest.mark.parametrize(
    ("op", "path"),
    [
        ("append", ""), ("append", "/a"), ("append", "/b"), ("append", "/a/0/x"), ("add", ""), ("add", "/a"),
        ("add", "/a/0"), ("add", "/a/2"), ("add", "/a/-"), ("add", "/a/01"), ("set", "/b"), ("set", "/a/1"),
        ("set", "/b/c"), ("set", "/s/0"),
    ],
)  # fmt: skip
def test_an_op_that_does_not_fit_is_refused(op: Any, path: str) -> None:
    """A viewer that has lost its place must not guess."""
    with pytest.raises(ValueError, match="does not fit"):
        apply({"a": [1], "s": "x"}, [{"op": op, "path": path, "value": "v"}])
