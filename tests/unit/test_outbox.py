"""One attempt's events: coalesced, split, bounded, and the same bytes however often they are sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.log.eventlog import Batch
from outlive.shared.log.replies import ReplyCode, TakeReply
from outlive.shared.model.codec import decode_json
from outlive.shared.model.events import (
    Cancelled,
    Completed,
    Delta,
    EventType,
    Json,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    Usage,
)
from outlive.worker.publishing.outbox import Outbox, OutboxLimits, OutputTooLarge

_LIMITS = OutboxLimits(unflushed_events=8, max_event_bytes=64, max_output_bytes=10_000)
_HALVES = ("\ud83d", "\ude00")


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


# As a JSON parser gives it: halves only where they stand alone.
_text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=200).map(_whole)
_delta = st.one_of(
    st.builds(Token, _text),
    st.builds(Reasoning, _text),
    st.builds(Refusal, _text),
    st.builds(ToolCall, st.integers(0, 1), st.none() | st.just("call"), st.none() | st.just("name"), _text),
)


def _outbox(limits: OutboxLimits = _LIMITS) -> Outbox:
    return Outbox("gen_x", TakeReply(ReplyCode.OK, epoch=17, attempt=1, counted=1), limits)


def _completed(outbox: Outbox) -> Completed:
    return Completed("stop", Usage(1, 1, 2), outbox.chars, outbox.events_with_terminal())


def _next(outbox: Outbox) -> Batch:
    batch = outbox.next_batch()
    assert batch is not None
    return batch


def _said(batch: Batch) -> list[tuple[str, Any]]:
    return [(entry.type, decode_json(entry.data)) for entry in batch.entries]


def _drain(outbox: Outbox) -> list[Batch]:
    batches = []
    while (batch := outbox.next_batch()) is not None:
        batches.append(batch)
        outbox.acknowledge(batch.first_seq + len(batch.entries) - 1)
    return batches


def test_pieces_of_one_kind_become_one_event() -> None:
    """While a flush is under way, pieces wait together."""
    outbox = _outbox()
    for delta in (Token("a"), Token("b"), Reasoning("c"), Token("d"), Refusal("e"), Refusal("f")):
        outbox.add(delta)
    assert _said(_next(outbox)) == [
        ("token", {"text": "ab"}), ("reasoning", {"text": "c"}), ("token", {"text": "d"}), ("refusal", {"text": "ef"}),
    ]  # fmt: skip


def test_pieces_of_two_tool_calls_stay_apart() -> None:
    """Only arguments of the same call join, and never over an id or a name."""
    outbox = _outbox(OutboxLimits(100, 64, 10_000))
    for call in (
        ToolCall(0, "a", "f", ""), ToolCall(0, None, None, "{"), ToolCall(0, None, None, "}"),
        ToolCall(1, None, None, "["), ToolCall(0, None, None, "!"), ToolCall(0, "b", None, "("),
        ToolCall(0, None, "g", ")"),
    ):  # fmt: skip
        outbox.add(call)
    assert [data for _, data in _said(_next(outbox))] == [
        {"index": 0, "id": "a", "name": "f", "arguments": "{}"}, {"index": 1, "arguments": "["},
        {"index": 0, "arguments": "!"}, {"index": 0, "id": "b", "arguments": "("},
        {"index": 0, "name": "g", "arguments": ")"},
    ]  # fmt: skip


@pytest.mark.parametrize("letter", ["a", "é", "日", "\U0001f600"])
def test_a_long_piece_is_split_between_code_points(letter: str) -> None:
    """No event above the limit, no character torn."""
    outbox = _outbox(OutboxLimits(1000, 64, 10_000))
    outbox.add(Token(letter * 300))
    events = _said(_next(outbox))
    assert "".join(data["text"] for _, data in events) == letter * 300
    assert all(len(data["text"].encode()) <= 64 for _, data in events)


def test_only_the_first_piece_of_a_split_call_is_named() -> None:
    """Named twice, a viewer would take it for two calls."""
    outbox = _outbox()
    outbox.add(ToolCall(2, "a", "f", "x" * 100))
    events = [data for _, data in _said(_next(outbox))]
    assert [("id" in data, "name" in data, data["index"]) for data in events] == [(True, True, 2)] + [
        (False, False, 2)
    ] * (len(events) - 1)
    assert "".join(data["arguments"] for data in events) == "x" * 100


@pytest.mark.rule("R22")
def test_pieces_fill_the_buffer_though_they_join() -> None:
    """Coalesced or not, what is not in the log counts."""
    outbox = _outbox()
    for _ in range(8):
        assert not outbox.is_full
        outbox.add(Token("a"))
    assert outbox.is_full
    batch = _next(outbox)
    assert len(batch.entries) == 1
    outbox.acknowledge(1)
    assert not outbox.is_full
    assert outbox.is_acknowledged


@pytest.mark.rule("R22")
def test_sent_is_not_yet_flushed() -> None:
    """Only the log's answer makes room."""
    outbox = _outbox()
    for i in range(8):
        outbox.add(Token("a") if i % 2 else Reasoning("b"))
    assert len(_next(outbox).entries) == 8
    assert outbox.is_full
    outbox.acknowledge(8)
    assert not outbox.is_full


def test_too_large_an_answer_is_refused() -> None:
    """The worker holds an attempt in memory until its end."""
    outbox = _outbox(OutboxLimits(1000, 64, 100))
    outbox.add(Token("é" * 50))
    with pytest.raises(OutputTooLarge):
        outbox.add(Token("a"))


@pytest.mark.rule("R32")
def test_steps_of_a_value_wait_like_pieces_and_count_as_no_output() -> None:
    """Where they were said, never joined, and no answer becomes too large by them."""
    outbox = _outbox(OutboxLimits(4, 64, 2))
    step = Json("output", [{"op": "set", "path": "", "value": "x" * 50}])
    outbox.add(Token("a"))
    outbox.add_json(step)
    outbox.add_json(step)
    assert not outbox.is_full
    outbox.add(Token("b"))
    assert outbox.is_full
    assert [kind for kind, _ in _said(_next(outbox))] == ["token", "json", "json", "token"]
    assert (outbox.chars, outbox.output_tokens) == (2, 2)


@pytest.mark.rule("R11")
def test_the_terminal_goes_alone() -> None:
    """It alone may pass when Redis is full."""
    outbox = _outbox()
    outbox.add(Token("a"))
    outbox.close(_completed(outbox))
    first, last = _drain(outbox)
    assert ([entry.type for entry in first.entries], first.terminal, first.first_seq) == (["token"], None, 1)
    assert ([entry.type for entry in last.entries], last.terminal, last.first_seq) == (
        ["completed"],
        EventType.COMPLETED,
        2,
    )
    assert outbox.is_acknowledged
    assert outbox.next_batch() is None


def test_an_answer_of_nothing_is_its_terminal() -> None:
    """Seq 0 is the attempt, which `take` has written."""
    outbox = _outbox()
    assert outbox.next_batch() is None
    outbox.close(_completed(outbox))
    (batch,) = _drain(outbox)
    assert (batch.epoch, batch.first_seq, len(batch.entries)) == (17, 1, 1)
    assert decode_json(batch.entries[0].data)["events"] == 2


@pytest.mark.rule("R7")
def test_a_batch_asked_for_again_is_the_same_and_more() -> None:
    """After a lost reply: what was sent stays as it was, what came meanwhile follows."""
    outbox = _outbox()
    outbox.add(Token("a"))
    before = _next(outbox)
    outbox.add(Token("b"))
    after = _next(outbox)
    assert [*before.entries, after.entries[1]] == after.entries
    assert _said(after) == [("token", {"text": "a"}), ("token", {"text": "b"})]


@pytest.mark.rule("R7")
@given(st.lists(_delta, max_size=40), st.data())
def test_after_a_lost_tail_the_same_bytes_have_the_same_ids(deltas: list[Delta], data: st.DataObject) -> None:
    """However acknowledgements rise and fall, one seq is one event."""
    outbox = _outbox(OutboxLimits(1000, 64, 100_000))
    known: dict[int, Any] = {}
    for delta in deltas:
        outbox.add(delta)
        if data.draw(st.booleans()):
            batch = _next(outbox)
            for seq, entry in enumerate(batch.entries, batch.first_seq):
                assert known.setdefault(seq, entry) == entry
            outbox.acknowledge(data.draw(st.integers(0, batch.first_seq + len(batch.entries) - 1)))
    outbox.close(Cancelled("x", Usage(0, 0, 0), 0, 0))
    outbox.acknowledge(0)
    for batch in _drain(outbox):
        for seq, entry in enumerate(batch.entries, batch.first_seq):
            assert known.setdefault(seq, entry) == entry
    assert sorted(known) == list(range(1, len(known) + 1))


@given(st.lists(_delta, max_size=40))
def test_nothing_said_is_lost_changed_or_moved(deltas: list[Delta]) -> None:
    """Joined by kind, the events say what the pieces said."""
    outbox = _outbox(OutboxLimits(1000, 64, 100_000))
    for delta in deltas:
        outbox.add(delta)
    events = [event for batch in _drain(outbox) for event in _said(batch)]
    assert outbox.chars == len(_whole("".join(d.text for d in deltas if isinstance(d, Token))))
    for kind in (Token, Reasoning, Refusal):
        ours = "".join(data["text"] for name, data in events if name == kind.type)
        assert _whole(ours) == _whole("".join(d.text for d in deltas if isinstance(d, kind)))
    for index in (0, 1):
        ours = "".join(data["arguments"] for name, data in events if name == "tool_call" and data["index"] == index)
        assert _whole(ours) == _whole(
            "".join(d.arguments for d in deltas if isinstance(d, ToolCall) and d.index == index)
        )


@pytest.mark.rule("R17")
def test_totals_are_those_as_of_each_event() -> None:
    """So that a cut in the middle still has the right ones."""
    outbox = _outbox()
    for delta in (Token("日本"), Token("c"), Reasoning("d" * 12), Token("\U0001f600")):
        outbox.add(delta)
    assert [(entry.chars, entry.tokens) for entry in _next(outbox).entries] == [(3, 2), (3, 4), (4, 4)]
    assert (outbox.chars, outbox.output_tokens) == (4, 4)


@pytest.mark.rule("R17")
def test_a_torn_character_counts_once() -> None:
    """Two halves in two pieces are one code point for whoever reads them."""
    outbox = _outbox()
    for half in _HALVES:
        outbox.add(Token(half))
    text = "".join(data["text"] for _, data in _said(_next(outbox)))
    assert outbox.chars == len(_whole(text)) == 1


@pytest.mark.rule("R17")
def test_a_torn_character_counts_once_over_two_events() -> None:
    """Also when the first half had left already."""
    outbox = _outbox()
    outbox.add(Token(_HALVES[0]))
    first = _next(outbox)
    outbox.acknowledge(1)
    outbox.add(Token(_HALVES[1]))
    assert [entry.chars for entry in [*first.entries, *_next(outbox).entries]] == [1, 1]
    assert outbox.chars == 1


@pytest.mark.rule("R17")
def test_the_terminal_counts_the_attempt_and_itself() -> None:
    """`events` is what the log will hold of this attempt."""
    outbox = _outbox()
    outbox.add(Token("a"))
    outbox.add(Reasoning("b"))
    assert outbox.events_with_terminal() == 4


def test_one_batch_is_bounded() -> None:
    """One script call must not hold Redis for long."""
    outbox = _outbox(OutboxLimits(10_000, 64, 1_000_000))
    for i in range(1200):
        outbox.add(Token("a") if i % 2 else Reasoning("b"))
    batches = _drain(outbox)
    assert max(len(batch.entries) for batch in batches) <= 256
    assert sum(len(batch.entries) for batch in batches) == 1200
