"""What one API process reports of its viewers, before Redis has it."""

from outlive.shared.log.viewer_counts import EXPIRY_S, ViewerCounts
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.slots import slot_of
from tests.support.ids import fresh_id

ONE, TWO = fresh_id(), fresh_id()


def counts() -> ViewerCounts:
    """Of a Redis that is never asked."""
    return ViewerCounts(connect("redis://127.0.0.1:1/0"), Keys("ol"))


def test_each_generation_is_reported_by_itself() -> None:
    """So one that is gone takes no other along; and on a cluster each report stays in one slot."""
    calls = counts().calls({ONE: 3, TWO: 0})
    assert [call.args[0] for call in calls] == [ONE, TWO]
    assert [call.args[2] for call in calls] == [3, 0]
    assert all(len({slot_of(key) for key in call.keys}) == 1 for call in calls)


def test_a_process_is_one_and_the_same_in_all_its_reports() -> None:
    """And another than every other process, or their counts would replace each other."""
    mine, other = counts(), counts()
    (first,), (second,) = mine.calls({ONE: 1}), mine.calls({TWO: 1})
    assert first.args[1] == second.args[1] != other.calls({ONE: 1})[0].args[1]


def test_a_count_says_how_long_it_is_valid() -> None:
    """In milliseconds, as Redis counts."""
    assert counts().calls({ONE: 1})[0].args[3] == EXPIRY_S * 1000
