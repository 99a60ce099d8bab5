"""Which call a piece belongs to, whatever a provider leaves out or says twice."""

from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.events import ToolCall, ToolCallDone
from outlive.worker.attempt.tool_calls import MAX_CALLS, ToolCalls
from outlive.worker.upstream.pieces import CallPiece

Said = tuple[int | None, str | None, str | None, str]
"""index, id, name, arguments."""


def _events(*pieces: Said) -> tuple[list[ToolCall], list[ToolCallDone]]:
    calls = ToolCalls()
    events = [calls.add(CallPiece(*piece)) for piece in pieces]
    return [event for event in events if event is not None], calls.end_round()


def _whole(*pieces: Said) -> list[tuple[str, str]]:
    """Names and arguments of the whole calls."""
    return [(call.name, call.arguments) for call in _events(*pieces)[1]]


@pytest.mark.rule("R67")
def test_a_round_has_no_more_calls_than_anybody_could_run() -> None:
    """Calls cost memory without a word of arguments; the next round begins anew."""
    calls = ToolCalls()
    for _ in range(2):
        for n in range(MAX_CALLS):
            calls.add(CallPiece(n, None, "f", ""))
        with pytest.raises(UpstreamBroken):
            calls.add(CallPiece(MAX_CALLS, None, "f", ""))
        assert calls.add(CallPiece(0, None, None, "{}")) == ToolCall(ANY, None, None, "{}")
        calls.end_round()


@pytest.mark.rule("R39")
@pytest.mark.parametrize(
    "pieces",
    [
        [(0, "a", "f", ""), (0, None, None, "{1"), (0, None, None, "}"), (1, "b", "g", ""), (1, None, None, "{2}")],
        [(0, "a", "f", ""), (1, "b", "g", ""), (1, None, None, "{2"), (0, None, None, "{1"), (1, None, None, "}"),
         (0, None, None, "}")],
        [(0, "a", "f", "{1"), (1, "b", "g", "{2"), (0, "a", "f", "}"), (1, "b", "g", "}")],
        [(0, None, "f", "{1"), (1, None, "g", "{2"), (0, None, None, "}"), (1, None, None, "}")],
        [(0, "same", "f", "{1"), (1, "same", "g", "{2"), (0, "same", None, "}"), (1, "same", None, "}")],
        [(0, "a", "f", "{1"), (0, None, None, "}"), (0, "b", "g", "{2"), (0, None, None, "}")],
        [(0, "a", "f", "{1"), (0, "b", "g", "{2"), (0, "a", None, "}"), (0, "b", None, "}")],
        [(None, "a", "f", "{1"), (None, None, None, "}"), (None, "b", "g", "{2"), (None, None, None, "}")],
        [(None, "a", "f", "{1"), (None, "b", "g", "{2"), (None, "a", "f", "}"), (None, "b", "g", "}")],
        [(None, None, "f", "{1"), (None, None, None, "}"), (None, None, "g", "{2}")],
        [(0, "a", "f", "{1"), (None, None, None, "}"), (1, "b", "g", "{2"), (None, "b", None, "}")],
        [(5, "a", "f", "{1}"), (3, "b", "g", "{2}")],
        [(0, None, None, "{1"), (0, "late", "f", "}"), (1, None, "g", "{2}")],
        [(3, "a", "f", ""), (0, None, None, "{1"), (0, None, None, "}"), (4, "b", "g", ""), (1, None, None, "{2}")],
        [(0, None, "f", "{1}"), (0, None, "g", "{2"), (0, None, None, "}")],
    ],
    ids=[
        "as OpenAI does", "interleaved", "all repeated", "no id", "one id for all", "index 0 for all",
        "index 0 for all, interleaved", "no index", "no index, interleaved", "neither", "left out later",
        "other numbers", "id and name come late",
        "the first piece has another index", "index 0 for all, no ids",
    ],
)  # fmt: skip
def test_two_calls_are_two_calls_however_they_are_told(pieces: list[Said]) -> None:
    """With one index and one id each, both new, which stand on their first events."""
    events, done = _events(*pieces)

    assert [(call.index, call.name, call.arguments) for call in done] == [(0, "f", "{1}"), (1, "g", "{2}")]
    assert len({call.id for call in done}) == 2
    for call in done:
        mine = [event for event in events if event.index == call.index]
        assert "".join(event.arguments for event in mine) == call.arguments
        assert [event.id for event in mine] == [call.id, *[None] * (len(mine) - 1)]
        assert [event.name for event in mine if event.name] == [call.name]


@pytest.mark.rule("R39")
def test_an_id_is_kept_where_the_provider_gave_one() -> None:
    """And made where it did not."""
    _, (given_id, made_id) = _events((0, "a", "f", ""), (1, None, "g", ""))
    assert given_id.id == "a"
    assert made_id.id.startswith("call_")


@pytest.mark.rule("R39")
def test_a_round_goes_on_counting_and_gives_no_id_twice() -> None:
    """Some providers number the calls of every round alike."""
    calls = ToolCalls()
    rounds = []
    for _ in range(3):
        calls.add(CallPiece(0, "call_0", "f", "{}"))
        rounds += calls.end_round()
    assert [call.index for call in rounds] == [0, 1, 2]
    assert rounds[0].id == "call_0"
    assert len({call.id for call in rounds}) == 3


@pytest.mark.rule("R39", "R43")
def test_what_a_former_attempt_said_is_taken() -> None:
    """Its index and its id are another call's."""
    calls = ToolCalls()
    calls.reserve(ToolCallDone(4, "a", "f", "{}"))
    calls.add(CallPiece(0, "a", "g", ""))
    (call,) = calls.end_round()
    assert call.index == 5
    assert call.id != "a"


def test_a_call_that_never_gets_a_name_has_an_empty_one() -> None:
    """Nobody has such a tool; it is the caller's to see."""
    assert _whole((0, "a", None, "{}")) == [("", "{}")]


_maybe: Any = st.none() | st.integers(0, 2)
_word: Any = st.none() | st.sampled_from(["a", "b"])


@given(st.lists(st.tuples(_maybe, _word, _word, st.text(max_size=3)), max_size=12))
@pytest.mark.rule("R39")
def test_no_piece_is_lost_or_told_twice(pieces: list[Said]) -> None:
    """Whatever they are: each goes to one call, and whole calls are what their pieces make."""
    events, done = _events(*pieces)
    assert [call.index for call in done] == list(range(len(done)))
    assert len({call.id for call in done}) == len(done)
    for call in done:
        assert "".join(event.arguments for event in events if event.index == call.index) == call.arguments
        assert [event.id for event in events if event.index == call.index and event.id] == [call.id]


@pytest.mark.rule("R39")
def test_a_name_may_come_in_parts_before_the_arguments() -> None:
    """Or whole on every piece."""
    assert _whole((0, "a", "get_", ""), (0, None, "weather", ""), (0, None, None, "{}")) == [("get_weather", "{}")]
    assert _whole((0, "a", "f", ""), (0, "a", "f", "{"), (0, "a", "f", "}")) == [("f", "{}")]


@pytest.mark.rule("R39")
def test_viewers_get_a_name_only_when_it_is_whole() -> None:
    """A name that came in parts goes out with the arguments; one that nothing can follow goes out at once."""
    calls = ToolCalls({"get", "get_weather", "add"})
    assert calls.add(CallPiece(0, "a", "add", "")) == ToolCall(0, "a", "add", "")
    assert calls.add(CallPiece(1, "b", "get", "")) is None
    assert calls.add(CallPiece(1, None, "_wea", "")) is None
    assert calls.add(CallPiece(1, None, "ther", "")) == ToolCall(1, "b", "get_weather", "")
    assert calls.add(CallPiece(2, "c", "get", "")) is None
    assert calls.add(CallPiece(2, None, None, "{")) == ToolCall(2, "c", "get", "{")
    assert calls.add(CallPiece(3, "d", "get", "")) is None
    assert calls.complete_arguments()[-1] == ToolCall(3, "d", "get", "{}")


@pytest.mark.rule("R39")
@pytest.mark.parametrize("arguments", [[], [""], ["", ""]])
def test_calls_without_arguments_get_an_empty_object(arguments: list[str]) -> None:
    """As their last piece, because clients parse what they were sent."""
    calls = ToolCalls()
    for text in ["", *arguments]:
        calls.add(CallPiece(0, "a", "f", text))
    calls.add(CallPiece(1, "b", "g", "{}"))
    assert calls.complete_arguments() == [ToolCall(0, None, None, "{}")]
    assert [call.arguments for call in calls.end_round()] == ["{}", "{}"]


@pytest.mark.rule("R69")
def test_members_that_only_the_provider_understands_stay_with_their_call() -> None:
    """Also when they come in a piece of their own."""
    calls = ToolCalls()
    calls.add(CallPiece(0, "a", "f", "{}"))
    calls.add(CallPiece(0, None, None, "", {"extra_content": {"google": {"thought_signature": "c2ln"}}}))
    (call,) = calls.end_round()
    assert call.provider == {"extra_content": {"google": {"thought_signature": "c2ln"}}}
