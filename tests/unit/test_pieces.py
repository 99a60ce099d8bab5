"""Chunks as providers send them, and as they should not."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.events import Reasoning, Refusal, Token
from outlive.worker.upstream.pieces import CallPiece, ChunkReader, Finish, Piece


def pieces_of(chunk: Any) -> list[Piece]:
    return ChunkReader().pieces_of(chunk)


def _chunk(delta: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}],
    }


@pytest.mark.parametrize(
    ("chunk", "pieces"),
    [
        (_chunk({"role": "assistant", "content": ""}), []),
        (_chunk({"content": "hi"}), [Token("hi")]),
        (_chunk({"content": None, "refusal": "no"}), [Refusal("no")]),
        (_chunk({"reasoning_content": "hm"}), [Reasoning("hm")]),
        (_chunk({"reasoning": "hm", "content": "hi"}), [Reasoning("hm"), Token("hi")]),
        (_chunk({}, finish_reason="stop"), [Finish("stop")]),
        (_chunk({"content": "."}, finish_reason="length"), [Token("."), Finish("length")]),
        (_chunk(None, finish_reason="stop"), [Finish("stop")]),
    ],
    ids=str,
)
def test_a_chunk_holds_its_pieces_in_order(chunk: Any, pieces: list[Piece]) -> None:
    """Reasoning before text, text before the end."""
    assert list(pieces_of(chunk)) == pieces


@pytest.mark.parametrize(
    ("chunk", "pieces"),
    [
        ({"choices": []}, []),
        ({"choices": None}, []),
        ({"choices": [], "prompt_filter_results": [{}]}, []),
        ({"choices": [{"delta": {"content": "no index"}}]}, [Token("no index")]),
        ({"choices": [{"index": None, "delta": {"content": "null index"}}]}, [Token("null index")]),
        ({"choices": [{"index": 0}]}, []),
        ({"choices": [{"index": 1, "delta": {"content": "counted from one"}}]}, [Token("counted from one")]),
        (
            {"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {"content": "another choice"}}]},
            [],
        ),
        ({"choices": [{"index": "0", "delta": {"content": "text index"}}]}, [Token("text index")]),
        ({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}, [Token("whole"), Finish("stop")]),
        ({"choices": [{"text": "older", "finish_reason": "stop"}]}, [Token("older"), Finish("stop")]),
        (_chunk({"content": 7}), [Token("7")]),
        (_chunk({"content": 0}), [Token("0")]),
        (_chunk({"content": False}), [Token("false")]),
        (_chunk({"content": ["a", {"type": "text", "text": "b"}]}), [Token("a"), Token("b")]),
        (
            _chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
            [Reasoning("hm")],
        ),
        (
            _chunk({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}]}),
            [Reasoning("hm")],
        ),
        (_chunk({"reasoning_content": {"text": "hm", "signature": "x"}}), [Reasoning("hm")]),
        (_chunk({"reasoning": "hm", "reasoning_content": "hm"}), [Reasoning("hm")]),
        (_chunk({"reasoning_text": "hm"}), [Reasoning("hm")]),
        (_chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]}), [Reasoning("hm")]),
        (_chunk({"content": {"a": 1}}), [Token('{"a":1}')]),
        (_chunk({"content": "x"}, finish_reason="null"), [Token("x")]),
        (
            {"choices": [{"index": 0, "delta": {"content": "x", "unheard_of": {"of": 1}}, "logprobs": None}]},
            [Token("x")],
        ),
        ({"usage": None, "choices": [{"delta": {}}]}, []),
        ({"usage": {}, "choices": []}, []),
        ({"usage": [1], "choices": []}, []),
        (_chunk({"tool_calls": None}), []),
        (_chunk({"content": "x"}, finish_reason=""), [Token("x")]),
    ],
    ids=str,
)
@pytest.mark.rule("R15")
def test_what_compatible_servers_leave_out_or_add_is_tolerated(chunk: Any, pieces: list[Piece]) -> None:
    """Nothing is lost of what is there, nothing made up of what is not."""
    assert list(pieces_of(chunk)) == pieces


@pytest.mark.parametrize(
    ("calls", "pieces"),
    [
        ([{"index": 1, "id": "a", "function": {"name": "f", "arguments": ""}}], [CallPiece(1, "a", "f", "")]),
        ([{"index": 1, "function": {"arguments": "{"}}], [CallPiece(1, None, None, "{")]),
        (
            [{"id": "a", "function": {"name": "f"}}, {"id": "b"}],
            [CallPiece(0, "a", "f", ""), CallPiece(1, "b", None, "")],
        ),
        ([{"id": "a", "function": {"arguments": "{"}}], [CallPiece(None, "a", None, "{")]),
        ([{"index": 0, "id": "", "function": {"name": "", "arguments": None}}], [CallPiece(0, None, None, "")]),
        ([{"function": {"arguments": 0}}], [CallPiece(None, None, None, "0")]),
        ([{"function": {"arguments": {"a": 1}}}], [CallPiece(None, None, None, '{"a":1}')]),
        ([{"index": "0", "id": 17, "function": {"name": "f"}}], [CallPiece(0, "17", "f", "")]),
        (
            [{"index": 0, "type": "custom", "custom": {"name": "shell", "input": "echo"}}],
            [CallPiece(0, None, "shell", "echo", None, "custom")],
        ),
        (
            [{"index": 0, "extra_content": {"google": {"thought_signature": "c2ln"}}}],
            [CallPiece(0, None, None, "", {"extra_content": {"google": {"thought_signature": "c2ln"}}})],
        ),
    ],
    ids=str,
)
@pytest.mark.rule("R15")
def test_tool_calls_come_in_pieces(calls: list[Any], pieces: list[Piece]) -> None:
    """Among others without an index, the place in the list is one; an empty id or name is none."""
    assert list(pieces_of(_chunk({"tool_calls": calls}))) == pieces


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": "x"}, {"choices": [7]}, {"choices": {"a": 1}}, _chunk("x"), _chunk([1]),
        _chunk({"tool_calls": [7]}),
        _chunk({"tool_calls": [{"index": "x"}]}), _chunk({"tool_calls": [{"index": float("inf")}]}),
        _chunk({"tool_calls": [{"id": ["a"]}]}),
        _chunk({"tool_calls": [{"function": {"name": {}, "arguments": ""}}, {"id": {"a": 1}}]}),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.rule("R67")
def test_what_is_no_chunk_breaks_the_upstream(chunk: Any) -> None:
    """Named as the provider's fault, never a TypeError of ours."""
    with pytest.raises(UpstreamBroken) as caught:
        list(pieces_of(chunk))
    assert caught.value.failed_code == "upstream_protocol"


@pytest.mark.parametrize("letter", ["x", "\0", "\ud800", "\U0001f30a"])
@pytest.mark.rule("R67")
def test_words_of_a_provider_are_bounded_as_they_are_written(letter: str) -> None:
    """They are in events that are not split. A signature packed into an id goes through: it grows with the thought."""
    for fits, name, call_id in ((True, "s" * 4_000, "s" * 60_000), (False, letter * 4_096, letter * 65_536)):
        for chunk in (
            _chunk({}, finish_reason=name),
            _chunk({"tool_calls": [{"id": call_id}]}),
            _chunk({"tool_calls": [{"function": {"name": name}}]}),
        ):
            if fits:
                assert len(pieces_of(chunk)) == 1
            else:
                with pytest.raises(UpstreamBroken):
                    pieces_of(chunk)


def test_one_choice_is_followed_through_the_stream() -> None:
    """The first one seen, however servers number it."""
    reader = ChunkReader()
    first = {"choices": [{"index": 1, "delta": {"content": "a"}}]}
    other = {"choices": [{"index": 0, "delta": {"content": "b"}}]}
    assert [*reader.pieces_of(first), *reader.pieces_of(other), *reader.pieces_of(first)] == [Token("a"), Token("a")]


def test_what_is_not_understood_is_kept_for_the_provider() -> None:
    """Signatures, details of reasoning, citations: merged over the pieces of a turn. An image may be the answer
    itself."""
    reader = ChunkReader()
    for text in ("Hm", "m."):
        details = [{"type": "reasoning.text", "text": text, "index": 0}]
        reader.pieces_of(_chunk({"reasoning": text, "reasoning_details": details}))
    reader.pieces_of({"choices": [], "citations": ["https://a"]} | {"service_tier": "default"})
    assert reader.provider() == {
        "message": {"reasoning_details": [{"type": "reasoning.text", "text": "Hmm.", "index": 0}]},
        "response": {"citations": ["https://a"], "service_tier": "default"},
        "reasoning_as": "reasoning",
    }
    assert not reader.unread
    reader.pieces_of(_chunk({"content": "", "images": [{"url": "data:"}]}))
    assert reader.unread == {"images"}


_keys = st.sampled_from(
    ["choices", "usage", "delta", "index", "content", "tool_calls", "function", "arguments", "finish_reason", "id"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("reason", [None, "", False])
@pytest.mark.rule("R13")
def test_only_a_reason_is_an_end(reason: Any) -> None:
    """An empty one, sent with every chunk by some servers, ends nothing."""
    assert list(pieces_of(_chunk({"content": "x"}, finish_reason=reason))) == [Token("x")]


@given(st.dictionaries(st.sampled_from(["choices", "usage"]), _json, min_size=1))
@pytest.mark.rule("R15")
def test_any_json_is_pieces_or_the_providers_fault(chunk: Any) -> None:
    """Nothing a provider sends raises anything else."""
    with suppress(UpstreamBroken):
        list(pieces_of(chunk))
