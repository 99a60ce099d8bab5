"""Key names and partitions: stable for ever, because logs outlive versions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.store.keyspace import PARTITIONS, Keys, partition_of
from tests.support.ids import fresh_id

_ID = "gen_0190163d8694739bb2e0cb7a6fda4ad1"


@pytest.mark.parametrize(
    ("generation_id", "partition"),
    [
        (_ID, 41),
        ("gen_" + "0" * 32, 44),
        ("gen_" + "f" * 32, 45),
        ("gen_018bcfe5687a7000800000000000000a", 58),
    ],
)
def test_partitions_are_pinned(generation_id: str, partition: int) -> None:
    """Another function would lose every log that is there."""
    assert partition_of(generation_id) == partition


def test_key_names_are_pinned() -> None:
    """Two versions side by side find each other's logs."""
    keys = Keys("ol")
    assert [keys.meta(_ID), keys.log(_ID), keys.request(_ID), keys.viewers(_ID)] == [
        f"ol:{{41}}:{_ID}:{part}" for part in ("meta", "log", "request", "viewers")
    ]
    assert keys.deadlines(7) == "ol:{07}:deadlines"
    assert keys.index(7, "acme") == "ol:{07}:index:acme"
    assert [keys.queue, keys.wake, keys.hints, keys.active, keys.delivery(_ID)] == [
        "ol:queue",
        "ol:wake",
        "ol:hints",
        "ol:active",
        f"ol:delivery:{_ID}",
    ]


@given(st.uuids())
def test_all_keys_of_a_generation_share_one_hash_tag(uuid: object) -> None:
    """One script may touch them all, on a cluster too."""
    generation_id = "gen_" + str(uuid).replace("-", "")
    keys, partition = Keys("a:b"), partition_of(generation_id)
    names = [
        keys.meta(generation_id), keys.log(generation_id), keys.request(generation_id), keys.viewers(generation_id),
        keys.deadlines(partition), keys.index(partition, "a tenant {with} braces"),
    ]  # fmt: skip
    # The first brace pair is the tag (Redis Cluster specification, Hash tags).
    tags = {found[1] for name in names if (found := re.search(r"\{([^}]+)\}", name))}
    assert tags == {f"{partition:02d}"}


def test_ids_spread_over_all_partitions() -> None:
    """No partition is forgotten, none holds a fifth."""
    counts = [0] * PARTITIONS
    for _ in range(6400):
        counts[partition_of(fresh_id())] += 1
    assert min(counts) > 0
    assert max(counts) < 6400 / 5
