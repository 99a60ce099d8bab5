"""Which node serves which key, as the nodes tell it."""

import pytest
from redis.exceptions import ResponseError

from outlive.shared.store.keyspace import PARTITIONS, Keys
from outlive.shared.store.slots import Redirection, Silences, Slots, redirection, slot_of

ASKED = ("10.0.0.1", 7000)
REPLY = [
    [0, 8191, [b"10.0.0.1", 7000, b"id-a", []], [b"10.0.0.3", 7002, b"id-c", []]],
    [8192, 16383, [b"", 7001, b"id-b", []]],
]


def test_the_first_server_of_a_range_is_its_owner() -> None:
    """The others are replicas: to be asked for slots, not for keys. Who does not know its own address
    is where we asked."""
    slots = Slots.of(REPLY, ASKED)
    assert [slots.owner(slot) for slot in (0, 8191, 8192)] == [ASKED, ASKED, ("10.0.0.1", 7001)]
    assert slots.owners == {ASKED, ("10.0.0.1", 7001)}
    assert ("10.0.0.3", 7002) in slots.nodes


def test_a_slot_nobody_serves_has_no_owner() -> None:
    """Then it is asked for again."""
    assert Slots().owner(0) is None


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (ResponseError("MOVED 3999 10.0.0.2:7001"), Redirection(("10.0.0.2", 7001), once=False)),
        (ResponseError("ASK 3999 fd00::1:7001"), Redirection(("fd00::1", 7001), once=True)),
        (ResponseError("MOVED 3999 :7001"), Redirection(("10.0.0.1", 7001), once=False)),
        (ResponseError("TRYAGAIN Multiple keys request"), None),
        (b"MOVED 3999 10.0.0.2:7001", None),
    ],
)
def test_a_redirection_names_another_node(reply: object, means: Redirection | None) -> None:
    """Only an error is one: a value may say anything."""
    assert redirection(reply, ASKED) == means


def test_a_partition_is_one_slot_and_they_spread() -> None:
    """All keys of a generation are in one; the 64 of them lie a quarter or more in each third of the slots."""
    keys = Keys("ol")
    assert len({slot_of(key) for key in keys.of_script("gen_1")}) == 1
    slots = {slot_of(keys.deadlines(partition)) for partition in range(PARTITIONS)}
    assert len(slots) == PARTITIONS
    thirds = [sum(slot * 3 // 16_384 == third for slot in slots) for third in range(3)]
    assert min(thirds) >= PARTITIONS / 4, thirds


def test_a_silence_is_of_slots_and_stays_theirs() -> None:
    """A node's failure is remembered of what it served then, whoever serves that afterwards."""
    slots = Slots.of(REPLY, ASKED)
    silences = Silences()
    silences.note(slots, ("10.0.0.1", 7001), 5.0)
    slots.moved[8192] = ASKED
    silences.note(slots, ASKED, 7.0)
    assert [silences.latest(slot) for slot in (0, 8192, 16_383)] == [7.0, 7.0, 5.0]
    assert Silences().latest(0) is None
