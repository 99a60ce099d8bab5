"""What one API process reports of its viewers, before Redis has it."""

from outlive.shared.log.viewer_counts import COUNT_EXPIRY_S, ViewerCounts
from outlive.shared.redis_url import parse
from outlive.shared.store.cluster import Cluster
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.slots import slot_of
from tests.support.ids import fresh_id

ONE, TWO = fresh_id(), fresh_id()


def counts() -> ViewerCounts:
    """Of a Redis that is never asked."""
    return ViewerCounts(connect("redis://127.0.0.1:1/0"), Keys("ol"))


def test_generations_share_a_call() -> None:
    """Most of the cost is per call; and a call is bounded."""
    (call,) = counts().calls({ONE: 3, TWO: 0})
    assert list(call.args[2:]) == [3, 0]
    assert [len(each.keys) // 2 for each in counts().calls({fresh_id(): 1 for _ in range(150)})] == [64, 64, 22]


def test_on_a_cluster_each_report_stays_in_one_slot() -> None:
    """Whatever shares a call."""
    cluster = ViewerCounts(Cluster(parse("redis+cluster://127.0.0.1:1")), Keys("ol"))
    calls = cluster.calls({fresh_id(): 1 for _ in range(150)})
    assert sum(len(call.keys) // 2 for call in calls) == 150
    assert all(len({slot_of(key) for key in call.keys}) == 1 for call in calls)


def test_a_process_is_one_and_the_same_in_all_its_reports() -> None:
    """And another than every other process, or their counts would replace each other."""
    mine, other = counts(), counts()
    (first,), (second,) = mine.calls({ONE: 1}), mine.calls({TWO: 1})
    assert first.args[0] == second.args[0] != other.calls({ONE: 1})[0].args[0]


def test_a_count_says_how_long_it_is_valid() -> None:
    """In milliseconds, as Redis counts."""
    assert counts().calls({ONE: 1})[0].args[1] == COUNT_EXPIRY_S * 1000
