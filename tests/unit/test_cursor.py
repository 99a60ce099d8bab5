"""The cursor alone: what it reads, what it refuses, how it orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.errors import BadRequest, MalformedCursor
from outlive.shared.model.cursor import START, Cursor

_part = st.integers(min_value=0, max_value=2**64 - 1)
_cursor = st.builds(Cursor, _part, _part)

_MALFORMED = [
    "$", "+", "-", "*", "(1-0", "1", "1-", "-0", "1-*", "1-2-3", "1--2", "01-0", "1-01", "00-0", "+1-0", "1_0-0",
    " 1-0", "1-0 ", "1-0\n", "\n1-0", "1-0\x00", "1 - 0", "1.0-0", "1e3-0", "0x1-0", "١-٢", "1–0",
    "18446744073709551616-0", "0-18446744073709551616", "99999999999999999999-0", "1-" + "0" * 200_000, "9" * 200_000,
]  # fmt: skip


@given(_cursor)
@pytest.mark.rule("R1")
def test_what_is_written_is_read_back(cursor: Cursor) -> None:
    """One cursor has one spelling."""
    assert cursor == Cursor.parse(str(cursor)) == Cursor.parse_resume(str(cursor))


@given(_cursor, _cursor)
@pytest.mark.rule("R2")
def test_cursors_order_by_epoch_then_by_seq(one: Cursor, other: Cursor) -> None:
    """A later epoch is later, whatever its seq."""
    assert (one < other) == (one.epoch < other.epoch or (one.epoch == other.epoch and one.seq < other.seq))


@pytest.mark.parametrize("text", _MALFORMED, ids=lambda text: repr(text[:24]))
@pytest.mark.rule("R20")
def test_what_redis_would_take_or_misread_is_refused(text: str) -> None:
    """Stricter than Redis: `$` skips everything, and two spellings of one id are two ids."""
    with pytest.raises(MalformedCursor):
        Cursor.parse(text)
    with pytest.raises(BadRequest):
        Cursor.parse_resume(text)


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    """Nothing a client sends raises anything else."""
    try:
        assert str(Cursor.parse(text)) == text
    except MalformedCursor:
        return


@pytest.mark.parametrize("text", [None, "", "-1", "0", "0-0"])
@pytest.mark.rule("R20")
def test_a_client_that_saw_nothing_starts_at_the_beginning(text: str | None) -> None:
    """Libraries spell "from the start" in their own ways."""
    assert Cursor.parse_resume(text) == START


@given(_cursor)
def test_nothing_comes_before_the_start(cursor: Cursor) -> None:
    """START orders before every event."""
    assert cursor >= START
