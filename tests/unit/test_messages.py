"""The messages that logs push: what a script has written, in lines."""

import pytest

from outlive.shared.log.messages import UNREADABLE, parse
from outlive.shared.model.cursor import Cursor
from tests.support.fanout import EPOCH, event, events, payload

pytestmark = pytest.mark.rule("R74")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_message_has_the_events_and_what_was_before_them(count: int) -> None:
    """Numbered on from the first."""
    log = events(count, first=4)
    assert parse(payload(log)) == (Cursor(EPOCH, 3), Cursor(EPOCH, 3 + count), tuple(log) if count == 1 else log)


def test_an_attempt_names_the_event_of_another_one_before_it() -> None:
    """So a reader sees whether it has that."""
    assert parse(payload([event(0)], Cursor(3, 9))).before == Cursor(3, 9)


def test_a_large_message_names_its_range_alone() -> None:
    """The log must be read."""
    assert parse(b"7-3\n7-90") == (Cursor(7, 3), Cursor(7, 90), ())


@pytest.mark.parametrize(
    "text", [b"gone", b"", b"\n", b"7-3", b"7-3\nx\ntoken\n{}", b"7\n8\n9", b"7-3\n7-4\ntoken", b"\xff-1\n7-1\na\nb"]
)
def test_a_message_that_no_script_writes_means_that_the_log_must_be_read(text: bytes) -> None:
    """And so does the end of a log that was deleted."""
    assert parse(text) is UNREADABLE
