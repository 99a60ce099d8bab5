"""The reference reduction, and the check of each invariant: it must catch a violation."""

import json
from typing import Any

import pytest

from outlive.shared.model.cursor import START, Cursor
from tests.support.invariants import LogEntry, check_invariants
from tests.support.sse import Frame, Parser
from tests.support.transcript import Transcript

EventParts = tuple[str | None, str, dict[str, Any]]

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
QUEUED: EventParts = ("10-0", "queued", {"id": "gen_1", "model": "demo", "created_at": 1.0})
ATTEMPT: EventParts = ("20-0", "attempt", {"attempt": 1, "reason": "started"})
A, B, C = (
    ("20-1", "token", {"text": "a"}),
    ("20-2", "token", {"text": "b"}),
    ("20-3", "token", {"text": "c"}),
)
DONE: EventParts = ("20-4", "completed", {"finish_reason": "stop", "usage": USAGE, "chars": 3, "events": 5})
WHOLE: list[EventParts] = [QUEUED, ATTEMPT, A, B, C, DONE]
CANCELLED: EventParts = (
    "30-0",
    "cancelled",
    {"reason": "requested", "usage": USAGE, "chars": 2, "events": 4, "cut": "20-2"},
)
RESET: EventParts = (None, "reset", {"reason": "unknown_cursor"})


def frame(parts: EventParts) -> Frame:
    """A frame as it arrives."""
    event_id, event, data = parts
    text = json.dumps(data, separators=(",", ":"))
    head = f"id: {event_id}\n" if event_id is not None else ""
    return Parser().feed(f"{head}event: {event}\ndata: {text}\n\n".encode())[0]


def seen(*events: EventParts, after: Cursor = START, name: str = "v") -> Transcript:
    """The transcript of a viewer that saw these events."""
    transcript = Transcript("gen_1", name, after)
    transcript.connected("http://one")
    for parts in events:
        transcript.saw(frame(parts))
    return transcript


def log_of(*events: EventParts) -> list[LogEntry]:
    """The log with these events."""
    return [(str(i), event, json.dumps(data, separators=(",", ":"))) for i, event, data in events]


def fold(first: int, event_id: str, text: str) -> EventParts:
    """Several tokens in one frame."""
    return (event_id, "token", {"text": text, "from": first})


def changed(parts: EventParts, **fields: Any) -> EventParts:
    """The same event with other data."""
    return (parts[0], parts[1], parts[2] | fields)


# -- The reduction ---------------------------------------------------------------------------------


def test_a_whole_answer_reduces_to_its_text_and_terminal() -> None:
    """Text, status, usage, finish reason, attempt and cursor."""
    answer = seen(*WHOLE).reduce()
    assert answer["text"] == "abc"
    assert answer["status"] == "completed"
    assert tuple(answer[name] for name in ("usage", "finish_reason", "attempt", "cursor")) == (USAGE, "stop", 1, "20-4")


def test_every_kind_of_output_has_its_field() -> None:
    """Reasoning, refusal and tool calls do not mix with text."""
    answer = seen(
        QUEUED,
        ATTEMPT,
        ("20-1", "reasoning", {"text": "hm"}),
        ("20-2", "refusal", {"text": "no"}),
        ("20-3", "tool_call", {"index": 1, "id": "c1", "name": "f", "arguments": '{"a'}),
        ("20-4", "tool_call", {"index": 0, "id": "c0", "name": "g", "arguments": "{}"}),
        ("20-5", "tool_call", {"index": 1, "arguments": '":1}'}),
    ).reduce()
    assert tuple(answer[name] for name in ("text", "reasoning", "refusal", "status")) == ("", "hm", "no", "running")
    assert answer["tool_calls"] == [
        {"id": "c0", "name": "g", "arguments": "{}"},
        {"id": "c1", "name": "f", "arguments": '{"a":1}'},
    ]


def test_an_attempt_forgets_all_output_before_it() -> None:
    """The answer begins again."""
    again = ("40-0", "attempt", {"attempt": 2, "reason": "worker_lost"})
    answer = seen(QUEUED, ATTEMPT, A, B, again, ("40-1", "token", {"text": "z"})).reduce()
    assert (answer["text"], answer["attempt"], answer["cursor"]) == ("z", 2, "40-1")


def test_a_reset_forgets_everything() -> None:
    """Earlier events may never have existed; the next cursor is the beginning."""
    transcript = seen(QUEUED, ATTEMPT, A, RESET)
    assert transcript.cursor == START
    assert None is transcript.reduce()["cursor"]
    assert transcript.resets == 1


def test_a_terminal_rolls_back_to_its_cut() -> None:
    """Events after `cut` do not count."""
    answer = seen(QUEUED, ATTEMPT, A, B, C, CANCELLED).reduce()
    assert (answer["text"], answer["status"], answer["cursor"]) == ("ab", "cancelled", "30-0")


def test_a_cut_before_the_attempt_takes_it_back() -> None:
    """Only the queued entry counts."""
    answer = seen(QUEUED, ATTEMPT, A, changed(CANCELLED, cut="10-0")).reduce()
    assert (answer["text"], answer["attempt"]) == ("", 0)


def test_a_fold_over_the_cut_cannot_be_reduced() -> None:
    """A server that sends this must not pass."""
    with pytest.raises(ValueError, match="crosses"):
        seen(QUEUED, ATTEMPT, fold(1, "20-3", "abc"), CANCELLED).reduce()


def test_a_failure_reduces_to_its_code() -> None:
    """Code and message, for the page to show."""
    failed = ("20-1", "failed", {"code": "x", "message": "y", "usage": USAGE, "chars": 0, "events": 2})
    assert seen(QUEUED, ATTEMPT, failed).reduce()["error"] == {"code": "x", "message": "y"}


def test_unknown_events_are_ignored() -> None:
    """They count as events and change nothing else."""
    done = changed(DONE, chars=2)
    transcript = seen(QUEUED, ATTEMPT, A, B, ("20-3", "sparkle", {"text": "!"}), done)
    assert transcript.reduce()["text"] == "ab"
    check_invariants([transcript])


def test_halves_of_a_character_become_one() -> None:
    """A provider may split a surrogate pair; a fold joins it sooner than a viewer does."""
    torn = [("20-1", "token", {"text": "\ud83d"}), ("20-2", "token", {"text": "\ude00"})]
    done = ("20-3", "completed", {"finish_reason": "stop", "usage": USAGE, "chars": 1, "events": 4})
    folded = fold(1, "20-2", "\U0001f600")
    check_invariants([seen(QUEUED, ATTEMPT, *torn, done), seen(QUEUED, ATTEMPT, folded, done)])


# -- What is lawful --------------------------------------------------------------------------------


SNAPSHOT = {
    "status": "completed",
    "attempt": 1,
    "cursor": "20-4",
    "text": "abc",
    "reasoning": "",
    "tool_calls": [],
    "tool_results": [],
    "usage": USAGE,
    "finish_reason": "stop",
    "error": None,
}

LAWFUL = {
    "whole": seen(*WHOLE),
    "folded": seen(QUEUED, ATTEMPT, fold(1, "20-3", "abc"), DONE),
    "folded in part": seen(QUEUED, ATTEMPT, A, fold(2, "20-3", "bc"), DONE),
    "resumed in the middle": seen(C, DONE, after=Cursor(20, 2)),
    "resumed in the middle, folded": seen(fold(2, "20-3", "bc"), DONE, after=Cursor(20, 1)),
    "came at the end": seen(after=Cursor(20, 4)),
    "reset in the middle": seen(QUEUED, ATTEMPT, A, RESET, *WHOLE),
    "reset at once": seen(RESET, *WHOLE, after=Cursor(99, 0)),
}


@pytest.mark.parametrize("which", LAWFUL)
def test_a_lawful_transcript_passes(which: str) -> None:
    """Together with a plain one, the snapshot and the log."""
    check_invariants([seen(*WHOLE), LAWFUL[which]], SNAPSHOT, log_of(*WHOLE))


def test_all_lawful_transcripts_pass_together() -> None:
    """Fifty viewers may have arrived in as many ways."""
    check_invariants(list(LAWFUL.values()), SNAPSHOT, log_of(*WHOLE))


def test_a_terminal_by_finish_passes() -> None:
    """It has its own epoch and counts up to its cut, with viewers ahead of it or not."""
    kept = [QUEUED, ATTEMPT, A, B, CANCELLED]
    ahead = seen(QUEUED, ATTEMPT, A, B, C, CANCELLED)
    check_invariants([seen(*kept), ahead], log=log_of(*kept))


def test_a_terminal_before_any_attempt_passes() -> None:
    """Cancelled while queued: the terminal is the only event to count."""
    check_invariants([seen(QUEUED, changed(CANCELLED, cut="10-0", chars=0, events=1))])


def test_an_unfinished_transcript_passes_while_not_finished() -> None:
    """Before the end no viewer needs a terminal."""
    check_invariants([seen(QUEUED, ATTEMPT, A)], finished=False)


# -- What is not -----------------------------------------------------------------------------------


def check_breaks(which: str, *transcripts: Transcript, **more: Any) -> None:
    """Check that these transcripts break this invariant, and that the message shows the viewer."""
    with pytest.raises(AssertionError, match=f"^{which} broken") as caught:
        check_invariants(transcripts, **more)
    assert "of gen_1" in str(caught.value)


@pytest.mark.parametrize(
    "events",
    [
        [QUEUED, ATTEMPT, A, A, B, C, DONE],
        [QUEUED, ATTEMPT, B, A, C, DONE],
        [ATTEMPT, QUEUED, A, B, C, DONE],
        [QUEUED, ATTEMPT, A, fold(1, "20-2", "ab"), C, DONE],
        [QUEUED, ATTEMPT, (None, "token", {"text": "a"}), DONE],
        [QUEUED, ATTEMPT, A, fold(3, "20-2", "b"), C, DONE],
    ],
    ids=["twice", "backwards", "epochs backwards", "fold overlaps", "no id", "fold ends before it begins"],
)
def test_i1_catches_ids_that_do_not_increase(events: list[EventParts]) -> None:
    """Every event with an id, each once, forward."""
    which = "I[12]" if events[2] is B else "I1"
    check_breaks(which, seen(*events))


def test_i1_catches_what_comes_again_after_resuming() -> None:
    """The last event seen must not be sent again."""
    check_breaks("I1", seen(B, C, DONE, after=Cursor(20, 2)))


def test_i1_names_an_id_that_is_none() -> None:
    """No viewer could resume from it."""
    with pytest.raises(AssertionError, match=r"^I1 broken"):
        seen(("20-01", "token", {"text": "a"}))


@pytest.mark.parametrize(
    "transcript",
    [
        seen(QUEUED, ATTEMPT, A, C, DONE),
        seen(QUEUED, A, B, C, DONE),
        seen(QUEUED, ATTEMPT, fold(2, "20-3", "bc"), DONE),
        seen(("10-1", *QUEUED[1:]), ATTEMPT, A, B, C, DONE),
        seen(DONE, after=Cursor(20, 2)),
        seen(C, DONE, after=Cursor(10, 0)),
        seen(RESET, ATTEMPT, A, C, DONE),
    ],
    ids=["middle", "no attempt", "before a fold", "first", "after resuming", "next epoch", "after a reset"],
)
def test_i2_catches_a_hole(transcript: Transcript) -> None:
    """At any position."""
    check_breaks("I2", transcript)


def test_i2_catches_the_skipped_rest_of_a_dead_epoch() -> None:
    """Only the log shows that there was more."""
    again = ("40-0", "attempt", {"attempt": 2, "reason": "worker_lost"})
    done = ("40-1", "completed", {"finish_reason": "stop", "usage": USAGE, "chars": 0, "events": 2})
    skipped = seen(QUEUED, ATTEMPT, A, again, done)
    check_invariants([skipped])
    check_breaks("I2", skipped, log=log_of(QUEUED, ATTEMPT, A, B, again, done))


def test_i3_catches_one_id_with_two_meanings() -> None:
    """Other bytes under the same id, at another viewer."""
    other = changed(B, text="x")
    check_breaks("I3", seen(*WHOLE), seen(QUEUED, ATTEMPT, A, other, C, DONE, name="w"))


def test_i3_catches_a_difference_across_a_reset() -> None:
    """A reset does not change what an id means."""
    check_breaks("I3", seen(QUEUED, ATTEMPT, changed(A, text="x"), RESET, *WHOLE))


@pytest.mark.parametrize(
    "folded",
    [fold(1, "20-3", "abx"), fold(1, "20-3", "ab"), ("20-3", "reasoning", {"text": "abc", "from": 1})],
    ids=["other text", "less text", "other type"],
)
def test_i3_catches_a_fold_that_is_not_its_events(folded: EventParts) -> None:
    """Compared with the events of another viewer, or with the log."""
    transcript = seen(QUEUED, ATTEMPT, folded, DONE)
    check_breaks("I3", transcript, seen(*WHOLE))
    with pytest.raises(AssertionError, match=r"^I[37] broken"):
        check_invariants([transcript], log=log_of(*WHOLE))


def test_i3_catches_two_folds_of_one_range() -> None:
    """The same range has the same bytes on every replica."""
    one, two = fold(1, "20-3", "abc"), fold(1, "20-3", "abd")
    check_breaks("I3", seen(QUEUED, ATTEMPT, one, DONE), seen(QUEUED, ATTEMPT, two, DONE))


def test_i3_catches_other_bytes_than_the_log() -> None:
    """Even if all viewers agree."""
    done = changed(DONE, chars=3)
    wrong = seen(QUEUED, ATTEMPT, changed(A, text="x"), B, C, done)
    check_breaks("I3", wrong, log=log_of(*WHOLE))


def test_i4_catches_anything_after_the_terminal() -> None:
    """Another event, another terminal, or a reset."""
    for more in (("20-5", "token", {"text": "d"}), ("30-0", "failed", {}), RESET):
        check_breaks("I4", seen(*WHOLE, more))


def test_i5_catches_different_terminals() -> None:
    """Also when only a byte differs."""
    other = changed(DONE, finish_reason="length")
    check_breaks("I[35]", seen(*WHOLE), seen(QUEUED, ATTEMPT, A, B, C, other))
    late = ("50-0", "cancelled", {"reason": "r", "usage": USAGE, "chars": 3, "events": 5, "cut": "20-3"})
    check_breaks("I5", seen(*WHOLE), seen(QUEUED, ATTEMPT, A, B, C, late))


def test_i5_catches_a_viewer_without_terminal() -> None:
    """Every viewer needs its end."""
    check_breaks("I5", seen(*WHOLE), seen(QUEUED, ATTEMPT, A, B, C))


def test_i6_catches_another_text_at_the_same_cursor() -> None:
    """No unfolded viewer could tell the two folds apart, but they reduce to two texts."""
    one, two = fold(2, "20-3", "bc"), fold(1, "20-3", "axc")
    check_breaks("I6", seen(QUEUED, ATTEMPT, A, one, DONE), seen(QUEUED, ATTEMPT, two, DONE))


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "ab"},
        {"status": "running"},
        {"cursor": "20-3"},
        {"reasoning": "hm"},
        {"attempt": 2},
        {"finish_reason": "length"},
        {"usage": None},
        {"tool_calls": [{"id": "c", "name": "f", "arguments": "{}"}]},
        {"tool_results": [{"id": "c", "name": "f", "content": "1", "error": None, "duration_ms": 1}]},
        {"error": {"code": "x", "message": "y"}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_i6_catches_a_snapshot_that_differs(wrong: dict[str, Any]) -> None:
    """In any field that a viewer can know."""
    check_breaks("I6", seen(*WHOLE), snapshot=SNAPSHOT | wrong)


@pytest.mark.parametrize("wrong", [{"chars": 4}, {"events": 4}, {"chars": 0}, {"events": 6}])
def test_i7_catches_totals_that_do_not_match(wrong: dict[str, int]) -> None:
    """Folded or not."""
    done = changed(DONE, **wrong)
    check_breaks("I7", seen(QUEUED, ATTEMPT, A, B, C, done))
    check_breaks("I7", seen(QUEUED, ATTEMPT, fold(1, "20-3", "abc"), done))


@pytest.mark.parametrize("wrong", [{"chars": 3}, {"events": 5}, {"cut": "20-1"}])
def test_i7_catches_totals_beyond_the_cut(wrong: dict[str, Any]) -> None:
    """Events after the cut do not count."""
    check_breaks("I7", seen(QUEUED, ATTEMPT, A, B, C, changed(CANCELLED, **wrong)))


def test_i7_catches_a_cut_in_a_workers_epoch() -> None:
    """Only `finish` cuts, and it uses its own epoch."""
    check_breaks("I7", seen(QUEUED, ATTEMPT, A, B, C, changed(DONE, cut="20-3")))


def test_i9_catches_the_queued_event_of_another_generation() -> None:
    """The only event that names its generation."""
    check_breaks("I9", seen(changed(QUEUED, id="gen_2"), *WHOLE[1:]))


def test_i9_catches_what_is_not_in_the_log() -> None:
    """Of whichever generation it is."""
    foreign = ("60-0", "attempt", {"attempt": 2, "reason": "worker_lost"})
    check_breaks("I9", seen(QUEUED, ATTEMPT, A, foreign), finished=False, log=log_of(*WHOLE))
