"""Chunks as providers send them, and as they should not."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.events import Reasoning, Refusal, Token, Usage
from outlive.worker.upstream.pieces import CallPiece, Finish, Piece, pieces_of


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
        ({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}, []),
        (
            {"choices": [{"index": 0, "delta": {"content": "x", "unheard_of": {"of": 1}}, "logprobs": None}]},
            [Token("x")],
        ),
        ({"usage": None, "choices": [{"delta": {}}]}, []),
        ({"usage": {}, "choices": []}, []),
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
    ],
    ids=str,
)
@pytest.mark.rule("R15")
def test_tool_calls_come_in_pieces(calls: list[Any], pieces: list[Piece]) -> None:
    """Among others without an index, the place in the list is one; an empty id or name is none."""
    assert list(pieces_of(_chunk({"tool_calls": calls}))) == pieces


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}, Usage(1, 2, 9)),
        ({"prompt_tokens": 1, "completion_tokens": None}, Usage(1, 0, 1)),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}, "cost": 0.1},
            Usage(1, 2, 3, None, {"cached_tokens": 1}),
        ),
        (
            {
                "prompt_tokens": 1,
                "prompt_tokens_details": {"a": 1e300, "b": [1], "c": -1, "d": True, "e": 10**30, "f": 6},
            },
            Usage(1, 0, 1, None, {"f": 6}),
        ),
        ({"prompt_tokens": 1, "prompt_tokens_details": [1], "completion_tokens_details": "many"}, Usage(1, 0, 1)),
        (
            {"prompt_tokens": 1, "prompt_tokens_details": {str(n): n for n in range(100)}},
            Usage(1, 0, 1, None, {str(n): n for n in range(16)}),
        ),
    ],
)
@pytest.mark.rule("R14")
def test_usage_is_the_providers_own(usage: Any, expected: Usage) -> None:
    """Its total stands; a missing one is the sum; nothing is marked as a guess. Of details only counts are kept."""
    assert list(pieces_of({"choices": [], "usage": usage})) == [expected]


@pytest.mark.parametrize(
    "chunk",
    [
        None, [], "text", 7, {}, {"error": {"message": "x"}}, {"choices": "x"}, {"choices": [7]}, {"choices": {"a": 1}},
        _chunk("x"), _chunk([1]), _chunk({"content": 7}), _chunk({"content": ["parts"]}), _chunk({"tool_calls": [7]}),
        _chunk({"tool_calls": [{"index": "x"}]}), _chunk({"tool_calls": [{"function": {"arguments": 7}}]}),
        {"usage": 7}, {"usage": {"prompt_tokens": "many"}}, {"usage": {"prompt_tokens": float("inf")}},
        {"usage": {"completion_tokens": -1}}, {"usage": {"total_tokens": 2**53}},
        _chunk({"tool_calls": [{"index": float("inf")}]}), _chunk({"tool_calls": [{"id": ["a"]}]}),
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
    """They stand in events that are not split; a signature packed into an id goes through."""
    for fits, word in ((True, "s" * 4_000), (False, letter * 4_096)):
        for chunk in (
            _chunk({}, finish_reason=word),
            _chunk({"tool_calls": [{"id": word}]}),
            _chunk({"tool_calls": [{"function": {"name": word}}]}),
        ):
            if fits:
                assert len(list(pieces_of(chunk))) == 1
            else:
                with pytest.raises(UpstreamBroken):
                    list(pieces_of(chunk))


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
