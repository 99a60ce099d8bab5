"""What is said of a Redis server before any work is begun."""

from typing import Any

import pytest

from outlive.shared.errors import UnfitRedis
from outlive.shared.store.requirements import judge

GOOD = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1}


@pytest.mark.parametrize("changed", [{}, {"redis_version": "7.0.0"}, {"redis_version": "10.1.2"}])
def test_a_fit_server_is_not_spoken_of(changed: dict[str, Any]) -> None:
    """Versions are compared as numbers."""
    assert judge(GOOD | changed) == []


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"redis_version": "6.2.14"}, "7.0 or newer"),
        ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, "noeviction"),
    ],
)
def test_an_unfit_server_is_refused_with_what_to_change(changed: dict[str, Any], word: str) -> None:
    """What would lose events without a word, or lacks what the scripts need."""
    with pytest.raises(UnfitRedis, match=word):
        judge(GOOD | changed)


def test_a_server_without_an_append_only_file_is_warned_of() -> None:
    """It works, and its restart loses everything."""
    (warning,) = judge(GOOD | {"aof_enabled": 0})
    assert "appendonly yes" in warning


def test_what_a_server_does_not_say_is_not_held_against_it() -> None:
    """Hosted servers leave fields out."""
    assert judge({"redis_version": "7.4.0"}) == []
