"""How many may watch at once, and that a place is given back once."""

import pytest

from outlive.api.limits.viewer_limits import Release, ViewerLimits
from outlive.shared.errors import ProcessFull, TooManyViewers

pytestmark = pytest.mark.rule("R58")


def limits(process: int = 100, generation: int = 100, address: int | None = None) -> ViewerLimits:
    return ViewerLimits(per_process=process, per_generation=generation, per_address=address)


def test_a_full_process_takes_nobody() -> None:
    """Until one leaves; and says so before anything else is asked."""
    counts = limits(process=2)
    releases = [counts.acquire(f"gen_{n}", f"10.0.0.{n}") for n in range(2)]
    for refuse in (counts.check_process, lambda: counts.acquire("gen_9", "10.0.0.9")):
        with pytest.raises(ProcessFull):
            refuse()
    releases[0]()
    counts.check_process()
    counts.acquire("gen_9", "10.0.0.9")


def test_a_full_generation_leaves_room_for_others() -> None:
    """It alone is full."""
    counts = limits(generation=1)
    release = counts.acquire("gen_1", "10.0.0.1")
    with pytest.raises(TooManyViewers):
        counts.acquire("gen_1", "10.0.0.2")
    counts.acquire("gen_2", "10.0.0.1")
    release()
    counts.acquire("gen_1", "10.0.0.2")


def test_a_full_address_leaves_room_for_others() -> None:
    """Whatever it watches."""
    counts = limits(address=1)
    release = counts.acquire("gen_1", "10.0.0.1")
    with pytest.raises(TooManyViewers):
        counts.acquire("gen_2", "10.0.0.1")
    counts.acquire("gen_1", "10.0.0.2")
    release()
    counts.acquire("gen_2", "10.0.0.1")


def test_without_a_limit_addresses_do_not_count() -> None:
    """Behind an unknown proxy all have one."""
    counts = limits()
    for _ in range(50):
        counts.acquire("gen_1", "10.0.0.1")


def test_a_refusal_counts_nowhere() -> None:
    """Else a limit would fill itself up."""
    counts = limits(process=2, generation=1, address=1)
    counts.acquire("gen_1", "10.0.0.1")
    for generation_id, address in (("gen_1", "10.0.0.2"), ("gen_2", "10.0.0.1")):
        with pytest.raises(TooManyViewers):
            counts.acquire(generation_id, address)
    counts.acquire("gen_2", "10.0.0.2")


def test_a_viewer_is_released_once() -> None:
    """However often its end is noticed."""
    counts = limits(process=2)
    first: Release = counts.acquire("gen_1", "10.0.0.1")
    counts.acquire("gen_1", "10.0.0.1")
    first()
    first()
    counts.acquire("gen_1", "10.0.0.1")
    with pytest.raises(ProcessFull):
        counts.check_process()


def test_nothing_is_kept_of_those_who_left() -> None:
    """Generations and addresses are without number."""
    counts = limits(address=5)
    for n in range(1_000):
        counts.acquire(f"gen_{n}", f"10.0.{n // 250}.{n % 250}")()
    assert not counts._by_generation
    assert not counts._by_address


def test_refusals_say_when_to_come_again() -> None:
    """Another process at once; the same limit later."""
    counts = limits(process=1)
    counts.acquire("gen_1", "10.0.0.1")
    with pytest.raises(ProcessFull) as full:
        counts.check_process()
    assert int(full.value.headers["Retry-After"]) > 0
    assert full.value.code == TooManyViewers.code == "too_many_viewers"
