"""One growing JSON value: however its text is cut and looked at, the ops tell that value."""

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.model.codec import decode_json_exactly, encode_json
from outlive.shared.model.json_ops import NOTHING, Op, apply
from outlive.worker.json_stream.partial_json import READ_EVERY_S, NotJson, NotStreamable, PartialJson

pytestmark = pytest.mark.rule("R30")

_LIMIT = 16_384
_EDGES = ["", "~", "/", "~1", "a/b", '"', "\\", "\n", "\x00", "é", "日本", "\U0001f600", "\ud83d", "0", "-"]
_text = st.sampled_from(_EDGES) | st.text(st.characters(codec="utf-8"), max_size=12)
_numbers = st.sampled_from(
    ["0", "-0", "-0.0", "1", "12", "1.0", "1e5", "1.2e5", "-1E-2", "0.1", "1" * 40, "-" + "9" * 400, "1e308"]
)
_scalars = st.one_of(
    _numbers, st.sampled_from(["true", "false", "null"]), _text.map(json.dumps),
    _text.filter(lambda s: "\ud83d" not in s).map(lambda s: json.dumps(s, ensure_ascii=False)),
)  # fmt: skip
_blank = st.sampled_from(["", "", " ", "\n", "\t  "])


@st.composite
def _list(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    parts = draw(st.lists(inner, max_size=5))
    return "[" + draw(_blank) + ("," + draw(_blank)).join(parts) + draw(_blank) + "]"


@st.composite
def _dict(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    # Keys may come twice: the last one counts.
    parts = draw(st.lists(st.tuples(_text.map(json.dumps), inner), max_size=5))
    gap = draw(_blank)
    return "{" + gap + ",".join(f"{key}{gap}:{draw(_blank)}{value}" for key, value in parts) + draw(_blank) + "}"


documents = st.recursive(_scalars, lambda inner: _list(inner) | _dict(inner), max_leaves=25)


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same kind: 1 is neither 1.0 nor true."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def applied(value: Any, ops: list[Op]) -> Any:
    """The value after ops that have been over the wire."""
    return apply(value, decode_json_exactly(encode_json(ops)))


def cut(text: str, places: list[int]) -> list[str]:
    """The text in pieces."""
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(ends)]


@given(documents, st.lists(st.integers(0, 10_000), max_size=30), st.data(), st.sampled_from([1, _LIMIT]))
def test_all_ops_give_exactly_the_parsed_value(text: str, places: list[int], data: st.DataObject, limit: int) -> None:
    """Whatever the value, the pieces and the looks; an op never exceeds its limit."""
    growing, value, first = PartialJson(limit), NOTHING, True
    for now, piece in enumerate(cut(text, places)):
        growing.feed(piece)
        if data.draw(st.booleans()):
            for op in growing.read(now):
                assert (op["op"], op["path"]) == ("set", "") if first else op["path"] or op["op"] == "append"
                assert len(encode_json(op)) <= max(limit, 1024)
                value, first = applied(value, [op]), False
    whole, ops = growing.end()
    value = applied(value, list(ops))

    assert same(whole, json.loads(text))
    assert same(value, json.loads(text))


@given(documents, st.lists(st.integers(0, 10_000), min_size=5, max_size=30))
def test_what_was_told_only_grows(text: str, places: list[int]) -> None:
    """A key, an element, a number never changes or goes; only a doubled key tells all anew, at the end."""
    growing, value = PartialJson(_LIMIT), NOTHING
    for now, piece in enumerate(cut(text, places)):
        growing.feed(piece)
        before = value if value is NOTHING else copy.deepcopy(value)
        value = applied(value, list(growing.read(now)))
        assert before is NOTHING or _extends(value, before)


def _extends(now: Any, before: Any) -> bool:
    if isinstance(before, str):
        return isinstance(now, str) and now.startswith(before)
    if isinstance(before, dict):
        return isinstance(now, dict) and all(key in now and _extends(now[key], before[key]) for key in before)
    if isinstance(before, list):
        return isinstance(now, list) and len(now) >= len(before) and all(map(_extends, now, before))
    return same(now, before)


def steps(*pieces: str) -> list[list[Op]]:
    """The ops after each piece."""
    growing = PartialJson(_LIMIT)
    ops = []
    for now, piece in enumerate(pieces):
        growing.feed(piece)
        ops.append(list(growing.read(now)))
    return ops


def test_only_what_is_new_is_told() -> None:
    """The deepest first: the order in which it was written."""
    assert steps('{"a": ["x', 'y", {}, ', 'true], "b/~": nul', "l, ", '"c": "') == [
        [{"op": "set", "path": "", "value": {"a": ["x"]}}],
        [{"op": "append", "path": "/a/0", "value": "y"}, {"op": "add", "path": "/a/1", "value": {}}],
        [{"op": "add", "path": "/a/2", "value": True}],
        [{"op": "add", "path": "/b~1~0", "value": None}],
        [{"op": "add", "path": "/c", "value": ""}],
    ]


def test_half_a_number_is_not_told() -> None:
    """1 may become 12 and 1.2e5, and nobody who was shown it could know."""
    assert steps("[1", "2", ".", "5e", "1", ",-", "1", "]") == [
        [{"op": "set", "path": "", "value": []}], [], [], [], [],
        [{"op": "add", "path": "/0", "value": 125.0}], [],
        [{"op": "add", "path": "/1", "value": -1}],
    ]  # fmt: skip
    assert steps("1", "2", " ")[-1] == [{"op": "set", "path": "", "value": 12}]


def test_a_number_before_half_a_key_is_told_with_the_key() -> None:
    """The digit at the end is the key's; that is seen one look later, and nothing told is taken back."""
    assert steps('{"a":1', ',"b2', '":') == [
        [{"op": "set", "path": "", "value": {}}], [], [{"op": "add", "path": "/a", "value": 1}],
    ]  # fmt: skip
    assert steps('{"a":1,', '"b2', '":""')[1:] == [[], [{"op": "add", "path": "/b2", "value": ""}]]


@pytest.mark.parametrize("text", ["```json\n{}\n```", "Here it is: {}", "NaN", "[Infinity]", "{'a': 1}", "\ufeff{}"])
def test_what_is_not_json_has_no_value(text: str) -> None:
    """Fences and prose before it included; and no more text would mend that."""
    growing = PartialJson(_LIMIT)
    growing.feed(text)
    assert [op["value"] for op in growing.read(0)] == []
    with pytest.raises(NotJson) as refused:
        growing.end()
    assert not refused.value.is_cut


@pytest.mark.parametrize("text", ['{"a": [1, "b', "[", '"a\\', "tru", "-", '{"a"', "[1,"])
def test_text_that_ends_too_early_is_told_from_text_that_is_wrong(text: str) -> None:
    """A length limit cuts JSON off; its value so far stands."""
    growing = PartialJson(_LIMIT)
    growing.feed(text)
    with pytest.raises(NotJson) as refused:
        growing.end()
    assert refused.value.is_cut


def test_a_doubled_key_is_told_at_the_end() -> None:
    """It may change what lies anywhere; till then what was told before it stands."""
    growing = PartialJson(_LIMIT)
    growing.feed('{"a":[1,2],"b":"x",')
    assert list(growing.read(0)) == [{"op": "set", "path": "", "value": {"a": [1, 2], "b": "x"}}]
    growing.feed('"a":"z","c":1}')
    assert list(growing.read(1)) == []
    assert list(growing.end()[1]) == [{"op": "set", "path": "", "value": {"a": "z", "b": "x", "c": 1}}]


@pytest.mark.parametrize("text", ["1e400", "[-1e999]", '{"' + "k" * 20_000 + '":0}', "1" * 4200 + "0" * 50])
def test_what_no_reader_could_hold_is_untellable(text: str) -> None:
    """Numbers beyond every float, and keys beyond every event."""
    growing = PartialJson(_LIMIT)
    growing.feed(text)
    with pytest.raises(NotStreamable):
        list(growing.end()[1])


@pytest.mark.rule("R32")
def test_a_large_value_is_told_in_ops_below_the_limit() -> None:
    """First its frame, then what is in it; a long string piece by piece."""
    value = {"a": ["\x00" * 5000, {"b": "\U0001f600" * 5000}], "c": list(range(5000))}
    growing = PartialJson(1024)
    growing.feed(json.dumps(value))
    ops = list(growing.read(0))

    assert ops[0] == {"op": "set", "path": "", "value": {}}
    assert max(len(encode_json(op)) for op in ops) <= 1024
    assert applied(NOTHING, ops) == value


def test_looks_are_as_far_apart_as_they_cost() -> None:
    """75 ms, and from 50 kB on in proportion: a share of a core, not a share of the tokens."""
    growing = PartialJson(_LIMIT)
    assert growing.due_s is None
    growing.feed("[")
    assert growing.due_s == 0
    list(growing.read(7))
    assert growing.due_s is None
    growing.feed('"')
    assert growing.due_s == 7 + READ_EVERY_S
    growing.feed("x" * 1_000_000)
    list(growing.read(8))
    growing.feed('"]')
    assert growing.due_s == pytest.approx(8 + 1.5, rel=0.01)


def test_a_torn_character_is_joined() -> None:
    """Providers tear emoji apart between two pieces."""
    assert steps('["\ud83d', '\ude00"') == [
        [{"op": "set", "path": "", "value": [""]}], [{"op": "append", "path": "/0", "value": "\U0001f600"}],
    ]  # fmt: skip
