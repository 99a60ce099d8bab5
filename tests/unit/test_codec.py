"""Events and JSON values as one line of bytes, and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.model.codec import decode_json, encode, encode_json
from outlive.shared.model.events import Completed, Failed, Token, ToolCall, Usage

# Hypothesis leaves lone surrogates out unless asked for.
_any_text = st.text(st.characters(exclude_categories=()))
_texts_in_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
    max_leaves=12,
)


@given(_any_text)
@pytest.mark.rule("R1")
def test_any_text_is_one_line_and_comes_back(text: str) -> None:
    """No provider can break a frame apart, not even with half a character."""
    line = encode(Token(text))
    assert not set(line) & {0, 10, 13}
    assert line.decode("utf-8")
    # The parser of every browser joins the two halves of a pair, so they come back as one.
    assert json.loads(line) == json.loads(json.dumps({"text": text}))


@given(_texts_in_json)
def test_any_value_comes_back(value: Any) -> None:
    """What `json` can say and read again, so can we."""
    assert decode_json(encode_json(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x00", "\ufeff", "\r\n\r\ndata: x"]
)
def test_what_others_call_a_line_break_stays_inside_the_line(text: str) -> None:
    """U+2028 and the like are text; CR, LF and NUL are escaped."""
    line = encode(Token(text))
    assert len(line.split(b"\n")) == len(line.split(b"\r")) == 1
    assert {"text": text} == decode_json(line)


@pytest.mark.parametrize("text", ["\ud83d", "\ude00", "a\ud83d", "\ude00\ud83d", "é\udfff"])  # noqa: PT014
def test_a_lone_surrogate_survives_as_an_escape(text: str) -> None:
    """UTF-8 cannot carry half an emoji, JSON can."""
    line = encode(Token(text))
    assert line.isascii()
    assert {"text": text} == decode_json(line)


def test_two_halves_in_one_text_are_one_character() -> None:
    """Joined by us or by the client, the whole character comes out."""
    assert json.loads(encode(Token("\ud83d" + "\ude00"))) == {"text": "\U0001f600"}


def test_plain_text_is_not_escaped() -> None:
    """Other scripts are sent as they are: three bytes a character, not six."""
    assert '{"text":"日本 ü"}'.encode() == encode(Token("日本 ü"))


def test_what_is_none_is_left_out() -> None:
    """Absent and null are not two cases for viewers; field order is wire order."""
    assert encode(ToolCall(0, None, None, "{}")) == b'{"index":0,"arguments":"{}"}'
    completed = encode(Completed("stop", Usage(1, 2, 3), 4, 5))
    usage = b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}'
    assert completed == b'{"finish_reason":"stop","usage":' + usage + b',"chars":4,"events":5}'


def test_nested_events_survive_a_lone_surrogate_as_well() -> None:
    """The slow path knows data classes too."""
    failed = Failed("upstream_error", "\ud83d", True, Usage(1, 2, 3, estimated=True), 4, 5)
    assert decode_json(encode(failed)) == {
        "code": "upstream_error", "message": "\ud83d", "retryable": True,
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "estimated": True},
        "chars": 4, "events": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nul", b"[1,]", b"{'a':1}", b"\xff", b"\x00", b"NaN", b'{"t":Infinity}', b"-Infinity"],
)
def test_what_is_not_json_is_a_value_error(data: bytes) -> None:
    """Python's parser takes NaN; JSON has no such thing."""
    with pytest.raises(ValueError):  # noqa: PT011
        decode_json(data)


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])
def test_nesting_without_end_is_a_value_error(data: bytes) -> None:
    """A body of brackets is the sender's mistake, not ours."""
    with pytest.raises(ValueError):  # noqa: PT011
        decode_json(data)


@pytest.mark.parametrize("beside", ["x", "\ud800", 2**70])
@pytest.mark.rule("R67")
def test_what_is_no_number_is_null_however_it_is_written(beside: object) -> None:
    """Beside half a character or a very long number, too, which another encoder writes. A word stays a word."""
    value = {"a": [float("nan"), float("-inf")], "b": beside, "c": "NaN, Infinity"}
    assert decode_json(encode_json(value))["a"] == [None, None]
    assert decode_json(encode_json(value))["c"] == "NaN, Infinity"


def test_what_is_no_json_value_is_our_mistake() -> None:
    """Nothing is written as its repr."""
    with pytest.raises(TypeError):
        encode_json({"a": object()})
