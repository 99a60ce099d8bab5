"""Every reply of a script, as redis-py gives it, in the shape that the rest of the code reads."""

import pytest

from outlive.shared.log.replies import (
    CreateReply,
    DeliveryReply,
    FinishReply,
    ReplyCode,
    SeqReply,
    TakeReply,
    code_of,
)
from outlive.shared.model.cursor import Cursor

TAKEN = [b"OK", b"1700000000123", b"2", b"1", b"59000", b"1500", b"worker_lost", b"restart", b"00-ab", b'{"a":1}']


def test_a_create_reply_has_the_time_in_seconds() -> None:
    """The script replies with milliseconds."""
    assert CreateReply.parse([b"NEW", b"queued", b"1500"]) == (ReplyCode.NEW, "queued", 1.5)
    assert CreateReply.parse([b"CONFLICT"]) == (ReplyCode.CONFLICT, "", 0.0)


def test_a_take_reply_carries_the_attempt() -> None:
    """And where it begins in the log."""
    taken = TakeReply.parse(TAKEN)
    assert taken == (ReplyCode.OK, 1700000000123, 2, 1, 59.0, 1.5, "worker_lost", True, "00-ab", b'{"a":1}')
    assert taken.cursor == Cursor(1700000000123, 0)
    assert not TakeReply.parse([*TAKEN[:7], b"fail", *TAKEN[8:]]).may_restart


def test_a_take_whose_deadline_has_passed_has_less_than_no_time() -> None:
    """Take does not judge the deadline; the worker does."""
    assert TakeReply.parse([*TAKEN[:4], b"-250", *TAKEN[5:]]).remaining_s == -0.25


@pytest.mark.parametrize("code", ["EXHAUSTED", "INTERRUPTED"])
def test_a_refused_take_carries_why_the_previous_attempt_ended(code: str) -> None:
    """It becomes the code of `failed`."""
    assert TakeReply.parse([code.encode(), b"worker_lost"]) == TakeReply(ReplyCode(code), reason="worker_lost")
    assert DeliveryReply.parse([code.encode(), b"worker_lost"]) == (ReplyCode(code), 0, "worker_lost")


@pytest.mark.parametrize("code", ["OK", "DUP", "GAP"])
def test_a_seq_reply_says_how_far_the_log_is(code: str) -> None:
    """Of the epoch that asked."""
    assert SeqReply.parse([code.encode(), b"41"]) == (ReplyCode(code), 41, None)


def test_a_log_closed_by_a_cancel_says_how_long_ago() -> None:
    """In seconds; a log that was closed otherwise says nothing."""
    assert SeqReply.parse([b"CLOSED", b"250"]) == (ReplyCode.CLOSED, -1, 0.25)
    assert SeqReply.parse([b"CLOSED"]) == (ReplyCode.CLOSED, -1, None)


def test_a_delivery_reply_has_the_number_to_enqueue() -> None:
    """All other codes have none."""
    assert DeliveryReply.parse([b"OK", b"3"]) == (ReplyCode.OK, 3, "")
    assert DeliveryReply.parse([b"NOT_DUE"]) == (ReplyCode.NOT_DUE, 0, "")


def test_a_finish_reply_has_how_it_ended() -> None:
    """Also when it had ended before."""
    assert FinishReply.parse([b"ALREADY", b"completed"]) == (ReplyCode.ALREADY, "completed")
    assert FinishReply.parse([b"GONE"]) == (ReplyCode.GONE, "")


def test_an_unknown_code_is_an_error() -> None:
    """A newer script's reply must not pass for one of ours."""
    with pytest.raises(ValueError, match="MOVED"):
        code_of([b"MOVED"])
