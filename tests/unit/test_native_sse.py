"""Frames of events: one each, or folded; the same bytes from the same events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.api.formats import native_sse
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import Attempt, Event, Json, Reasoning, Token, ToolCall
from tests.support.sse import Parser

EPOCH = 1_795_330_013_450


def _logged(*events: Event, epoch: int = EPOCH) -> list[Logged]:
    return [Logged(Cursor(epoch, seq), event.type.encode(), encode(event)) for seq, event in enumerate(events)]


def _parsed(data: bytes) -> list[tuple[str | None, str, dict[str, object]]]:
    return [(frame.id, frame.event, frame.data) for frame in Parser().feed(data)]


@pytest.mark.rule("R1")
def test_a_frame_carries_the_cursor_as_its_id() -> None:
    """And the log's own bytes as its data."""
    (event,) = _logged(Token("é\n\x00\u2028"))
    assert native_sse.frame(event) == b"id: %d-0\nevent: token\ndata: %b\n\n" % (EPOCH, event.data)


@pytest.mark.rule("R9")
def test_a_fold_has_the_last_id_and_says_where_it_begins() -> None:
    """Text joined in order; other kinds and other epochs stay apart."""
    events = _logged(Attempt(1, "started"), Reasoning("a"), Token("b"), Token("c"), Token("d"), Reasoning("e"))
    events += _logged(Token("f"), epoch=EPOCH + 7)

    assert _parsed(native_sse.folded(events)) == [
        (f"{EPOCH}-0", "attempt", {"attempt": 1, "reason": "started"}),
        (f"{EPOCH}-1", "reasoning", {"text": "a"}),
        (f"{EPOCH}-4", "token", {"text": "bcd", "from": 2}),
        (f"{EPOCH}-5", "reasoning", {"text": "e"}),
        (f"{EPOCH + 7}-0", "token", {"text": "f"}),
    ]


@pytest.mark.rule("R9")
def test_tool_calls_fold_within_one_call_only() -> None:
    """Never across an id, a name or an index."""
    events = _logged(
        ToolCall(0, "c0", "f", "{"),
        ToolCall(0, None, None, '"a"'),
        ToolCall(1, "c1", "f", "{"),
        ToolCall(0, None, None, ":1}"),
    )

    assert [data for _, _, data in _parsed(native_sse.folded(events))] == [
        {"index": 0, "id": "c0", "name": "f", "arguments": '{"a"', "from": 0},
        {"index": 1, "id": "c1", "name": "f", "arguments": "{"},
        {"index": 0, "arguments": ":1}"},
    ]


@pytest.mark.rule("R9")
@given(st.lists(st.builds(Token, st.text(st.characters(codec=None), max_size=6)), min_size=1, max_size=30))
def test_folding_changes_no_text(tokens: list[Token]) -> None:
    """Whatever the pieces, halves of characters included, and the same again on another replica."""
    data = native_sse.folded(_logged(*tokens))
    whole = "".join(token.text for token in tokens).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    joined = "".join(str(value["text"]) for _, _, value in _parsed(data))

    assert joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace") == whole
    assert native_sse.folded(_logged(*tokens)) == data


@pytest.mark.rule("R9")
def test_a_fold_stays_small_enough_to_parse() -> None:
    """A megabyte of catch-up is several frames, without a hole between them."""
    folded = _parsed(native_sse.folded(_logged(*[Token("x" * 1000)] * 1000)))
    nexts = [int((frame_id or "").split("-")[1]) + 1 for frame_id, _, _ in folded]

    assert len(folded) > 10
    assert [data["from"] for _, _, data in folded] == [0, *nexts[:-1]]


def _set(value: object, target: str = "output") -> Json:
    return Json(target, [{"op": "set", "path": "", "value": value}])


def _append(path: str, text: str, target: str = "output") -> Json:
    return Json(target, [{"op": "append", "path": path, "value": text}])


@pytest.mark.rule("R33")
def test_json_folds_into_the_text_it_comes_with() -> None:
    """One frame, one value, however many steps; what comes behind the text belongs to it too."""
    call = ToolCall(0, "c", "f", '{"a"')
    events = _logged(
        Token('{"a'), _set({}), Token('": "b'), Json("output", [{"op": "add", "path": "/a", "value": "b"}]),
        Token("c"), _append("/a", "c"), call, _set({}, "c"), ToolCall(0, None, None, ':"x'), _append("/a", "d"),
    )  # fmt: skip
    assert [(event, data) for _, event, data in _parsed(native_sse.folded(events))] == [
        ("token", {"text": '{"a": "bc', "json": [
            {"target": "output", "ops": [{"op": "set", "path": "", "value": {"a": "bc"}}]},
        ], "from": 0}),
        ("tool_call", {"index": 0, "id": "c", "name": "f", "arguments": '{"a":"x', "json": [
            {"target": "c", "ops": [{"op": "set", "path": "", "value": {}}]},
            {"target": "output", "ops": [{"op": "append", "path": "/a", "value": "d"}]},
        ], "from": 6}),
    ]  # fmt: skip


@pytest.mark.rule("R33")
def test_json_alone_folds_within_one_value() -> None:
    """A viewer that continues in the middle gets growth, not the whole."""
    events = _logged(_append("/a", "b"), _append("/a", "c"), _append("", "d", "c1"), Token("x"), _append("/a", "e"))
    assert [(event, data) for _, event, data in _parsed(native_sse.folded(events))] == [
        ("json", {"target": "output", "ops": [{"op": "append", "path": "/a", "value": "bc"}], "from": 0}),
        ("json", {"target": "c1", "ops": [{"op": "append", "path": "", "value": "d"}]}),
        ("token", {"text": "x", "json": [
            {"target": "output", "ops": [{"op": "append", "path": "/a", "value": "e"}]},
        ], "from": 3}),
    ]  # fmt: skip


@pytest.mark.rule("R33")
def test_folding_keeps_numbers_as_they_are() -> None:
    """A whole number stays whole, however large."""
    events = _logged(Token("x"), _set([10**30, 1.0, 1, True]))
    assert b'"value":[1000000000000000000000000000000,1.0,1,true]' in native_sse.folded(events).replace(b" ", b"")
