"""What a new attempt takes over from the log of those before it."""

import pytest

from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import Attempt, Event, Queued, Reasoning, Token, ToolCall, ToolCallDone, ToolResult
from outlive.worker.attempt.earlier_attempts import EarlierAttempts, KeptRound

NOW = 100


def _log(epoch: int, *events: Event) -> list[Logged]:
    return [Logged(Cursor(epoch, seq), event.type.encode(), encode(event)) for seq, event in enumerate(events)]


def attempt_log(epoch: int, *events: Event) -> list[Logged]:
    return _log(epoch, Attempt(1, "worker_lost"), *events)


def _call(index: int, name: str = "f") -> tuple[ToolCall, ToolCallDone]:
    return ToolCall(index, f"c{index}", name, "{}"), ToolCallDone(index, f"c{index}", name, "{}")


def _result(index: int, name: str = "f") -> ToolResult:
    return ToolResult(f"c{index}", name, str(index), None, 1)


def _rounds(*entries: Logged, repeatable: str = "") -> list[KeptRound]:
    former = EarlierAttempts(NOW)
    for entry in entries:
        former.add([entry])
    return former.rounds(lambda name: name == repeatable)


ONE: list[Event] = [Token("a"), *_call(0), _result(0)]
TWO: list[Event] = [Token("b"), *_call(1), *_call(2), _result(2), _result(1)]


@pytest.mark.rule("R43")
def test_what_was_said_up_to_the_last_result_is_told_again() -> None:
    """Round by round; text begun after it is forgotten."""
    one, two = _rounds(*_log(1, Queued("gen_x", "m", 1.0)), *attempt_log(2, *ONE, *TWO, Reasoning("hm"), Token("c")))

    assert one.events == ONE
    assert (one.round.text, [call.id for call in one.round.calls], one.round.without_result) == ("a", ["c0"], [])
    assert two.events == TWO
    assert (two.round.text, set(two.round.results), two.round.without_result) == ("b", {"c1", "c2"}, [])


@pytest.mark.rule("R43")
def test_a_call_without_a_result_is_due_in_the_last_round() -> None:
    """All its calls are in the log before the first result, so none is missing."""
    (one,) = _rounds(*attempt_log(2, *_call(0), *_call(1), _result(1)))
    assert [call.id for call in one.round.without_result] == ["c0"]


@pytest.mark.rule("R43")
@pytest.mark.parametrize("events", [[], [Token("a")], [*_call(0)], [*_call(0), Token("b")]], ids=len)
def test_without_a_result_there_is_nothing_to_keep(events: list[Event]) -> None:
    """Whether all calls of the turn are there, nobody can tell."""
    assert _rounds(*attempt_log(2, *events)) == []


@pytest.mark.rule("R43")
def test_an_attempt_that_died_while_it_was_told_does_not_count() -> None:
    """The one before it came further; of equals the latest is told."""
    assert [kept.events for kept in _rounds(*attempt_log(2, *ONE, *TWO), *attempt_log(3, *ONE))] == [ONE, TWO]
    assert [kept.events for kept in _rounds(*attempt_log(2, *ONE), *attempt_log(3, *ONE, *TWO))] == [ONE, TWO]
    again: list[Event] = [Token("other"), *ONE[1:]]
    assert [kept.events for kept in _rounds(*attempt_log(2, *ONE), *attempt_log(3, *again))] == [again]


@pytest.mark.rule("R43")
def test_repeatable_results_are_left_out_of_the_last_round_only() -> None:
    """The model has spoken on those of the rounds before."""
    first: list[Event] = [*_call(0, "again"), _result(0, "again")]
    last: list[Event] = [*_call(1, "again"), *_call(2), _result(1, "again"), _result(2)]
    one, two = _rounds(*attempt_log(2, *first, *last), repeatable="again")

    assert one.events == first
    assert two.events == [*_call(1, "again"), *_call(2), _result(2)]
    assert [call.id for call in two.round.without_result] == ["c1"]


@pytest.mark.rule("R12", "R43")
def test_our_own_epoch_and_types_we_do_not_know_are_passed_over() -> None:
    """A newer worker may have written them; what is ours is not yet former."""
    unknown = Logged(Cursor(2, 9), b"unheard_of", b"{}")
    (one,) = _rounds(*attempt_log(2, *ONE), unknown, *attempt_log(NOW, *ONE, *TWO))
    assert one.events == ONE
