"""Whether something new may start, by what the servers say of their memory."""

import pytest

from outlive.shared.errors import LogUnavailable
from outlive.shared.store.memory_headroom import all_have_room, has_room

pytestmark = pytest.mark.rule("R57")


def test_memory_that_redis_does_not_count_is_not_counted() -> None:
    """Buffers of replicas and of the append-only file come and go; Redis leaves them out when it refuses."""
    full = {"used_memory": 85, "maxmemory": 100}
    assert not has_room(full, 0.8)
    assert has_room(full | {"mem_not_counted_for_evict": 10}, 0.8)


def test_a_server_without_figures_has_room() -> None:
    """Hosted servers leave fields out."""
    assert has_room({}, 0.8)


def test_one_full_server_is_enough_to_refuse() -> None:
    """A new generation may fall on any of them."""
    assert all_have_room([True, True])
    assert not all_have_room([True, False])


def test_a_server_that_is_away_refuses_nothing_for_the_others() -> None:
    """It refuses its own generations when they are created."""
    assert all_have_room([True, LogUnavailable()])
    assert not all_have_room([False, LogUnavailable()])


@pytest.mark.parametrize("away", [1, 3])
def test_without_any_server_nothing_is_known(away: int) -> None:
    """Then a caller gets the error that says so."""
    with pytest.raises(LogUnavailable):
        all_have_room([LogUnavailable()] * away)
