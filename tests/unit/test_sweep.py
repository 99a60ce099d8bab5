"""What the sweep decides: how often it runs, and how a generation ends that nobody finished."""

from typing import get_args

import pytest

from outlive.shared.log.replies import DeliveryReply, ReplyCode
from outlive.shared.log.sweep import _JITTER, _PERIOD, LOST_MESSAGES, failure_after, interval_s
from outlive.shared.model.events import AttemptReason


def test_a_short_lease_is_swept_more_often() -> None:
    """Recovery is promised within lease + 2 s, not within lease + sweep."""
    assert interval_s(10.0) == 1.0
    assert interval_s(2.0) == 0.5


def test_a_process_that_sweeps_alone_is_never_refused() -> None:
    """The period of one sweep is over before the earliest next one."""
    assert min(_JITTER) > _PERIOD


def test_a_missed_deadline_is_a_failure() -> None:
    """Whatever has become of the worker."""
    failure = failure_after(DeliveryReply(ReplyCode.PAST_DEADLINE))
    assert failure is not None
    assert failure.code == "deadline_exceeded"


@pytest.mark.parametrize("code", [ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED])
@pytest.mark.parametrize("reason", sorted(set(get_args(AttemptReason)) - {"started"}))
def test_every_reason_an_attempt_ends_for_has_a_message(code: ReplyCode, reason: str) -> None:
    """The reason is the code; `started` is the one attempt that follows nothing."""
    assert failure_after(DeliveryReply(code, reason=reason)) == (reason, LOST_MESSAGES[reason])


@pytest.mark.parametrize("code", [ReplyCode.OK, ReplyCode.NOT_DUE, ReplyCode.GONE, ReplyCode.CLOSED])
def test_a_generation_that_may_go_on_or_has_ended_is_left_alone(code: ReplyCode) -> None:
    """Another worker takes it, its owner lives, or there is nothing left to end."""
    assert failure_after(DeliveryReply(code)) is None
