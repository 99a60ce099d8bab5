"""Ids and the look at meta."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.api.generations.describe import describe
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import CLOSED, Status, derived_id, is_id, meta_of, new_id
from outlive.shared.settings import load

_any_text = st.text(st.characters(exclude_categories=()))


def test_a_new_id_is_a_uuid7() -> None:
    """RFC 9562: version 7, variant 10, the time in the first 48 bits."""
    now_ms = 1_700_000_000_123
    found = new_id(now_ms)
    uuid = UUID(found.removeprefix("gen_"))
    assert is_id(found)
    assert (uuid.int >> 76 & 0xF, uuid.int >> 62 & 0b11, uuid.int >> 80) == (7, 0b10, now_ms)


def test_an_id_made_now_carries_now() -> None:
    """The API hands in the clock of its process."""
    before = time.time_ns() // 1_000_000
    new = describe({"model": "m", "messages": [{"role": "user", "content": "x"}]}, None, "acme", load({}))
    stamp = UUID(new.id.removeprefix("gen_")).int >> 80
    assert before <= stamp <= time.time_ns() // 1_000_000


@given(st.integers(0, 2**48 - 2))
def test_ids_made_later_sort_later(now_ms: int) -> None:
    """As text, too."""
    assert new_id(now_ms) < new_id(now_ms + 1)


def test_ids_of_one_millisecond_differ_in_all_random_bits() -> None:
    """74 random bits: none is stuck."""
    ids = [UUID(new_id(0).removeprefix("gen_")).int for _ in range(200)]
    ones = zeros = 0
    for value in ids:
        ones |= value
        zeros |= ~value
    random_bits = ((1 << 12) - 1) << 64 | (1 << 62) - 1
    assert len(set(ids)) == 200
    assert ones & random_bits == zeros & random_bits == random_bits


@pytest.mark.rule("R3")
def test_the_derived_id_is_pinned() -> None:
    """Another function would make a second answer for a key already used."""
    assert derived_id("acme", "order-17") == "gen_53c32917581878692227e7e54b8dd102"


@given(_any_text, _any_text, _any_text, _any_text)
@pytest.mark.rule("R3")
def test_one_tenant_and_key_is_one_id_and_another_is_another(a: str, b: str, c: str, d: str) -> None:
    """Moving the border between tenant and key makes another id."""
    assert is_id(derived_id(a, b))
    assert (derived_id(a, b) == derived_id(c, d)) == ((a, b) == (c, d))
    if b:
        assert derived_id(a, b) != derived_id(a + b[0], b[1:])


@pytest.mark.parametrize(
    "text",
    [
        "", "gen_", "gen_" + "0" * 31, "gen_" + "0" * 33, "GEN_" + "0" * 32, "gen_" + "A" * 32, "gen_" + "g" * 32,
        "0" * 36, "gen_gen_" + "0" * 28, "gen_" + "0" * 31 + "\n", "gen_" + "0" * 31 + "}", "gen_" + "٠" * 32,
        "gen_" + "0" * 32 + ":meta",
    ],
)  # fmt: skip
def test_what_is_no_id_never_becomes_part_of_a_key(text: str) -> None:
    """Checked by form, before Redis is asked."""
    assert not is_id(text)


def test_meta_of_a_queued_and_of_a_closed_log() -> None:
    """Times become seconds; what has not happened is None."""
    fields = {
        "status": b"queued", "tenant": b"acme", "model": b"m", "epoch": b"17", "seq": b"0", "attempt": b"0",
        "metadata": b"{}", "created": b"1500",
    }  # fmt: skip
    queued = meta_of(fields)
    assert (queued.status, queued.last, queued.terminal, queued.started_at, queued.is_closed) == (
        Status.QUEUED, Cursor(17, 0), None, None, False,
    )  # fmt: skip
    closed = meta_of({**fields, "status": b"failed", "terminal": b"18-0", "started": b"2000", "finished": b"2500"})
    assert (closed.terminal, closed.created_at, closed.started_at, closed.finished_at) == (
        Cursor(18, 0),
        1.5,
        2.0,
        2.5,
    )
    assert closed.is_closed
    assert closed.last > START
    assert {status for status in Status if status in CLOSED} == {
        Status.COMPLETED,
        Status.FAILED,
        Status.CANCELLED,
    }
