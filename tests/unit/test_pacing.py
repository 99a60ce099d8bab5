"""How long a busy loop rests: never when there is room, never longer than is allowed."""

import time

from outlive.shared.runtime.pacing import Pace

MAX_S = 0.03
MANY = 1000
EACH_S = 0.000_075


def spend(cpu_s: float) -> None:
    """Keep this thread at work."""
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def pause_after(cpu_s: float, over: int = MANY, *, left_behind: bool = False) -> float:
    """After one round of this cost, in which nobody else took the processor: then it is not busy.
    `left_behind`: the cost is of what the round before left to do."""
    for _ in range(1000):
        pace, began = Pace(EACH_S), time.monotonic()
        spend(cpu_s)
        pause_s = pace.pause_s(over, time.monotonic() if left_behind else began, MAX_S)
        if time.monotonic() - began < 2 * cpu_s:
            return pause_s
    raise AssertionError("this machine never left us alone")


def test_a_loop_with_little_to_do_never_waits() -> None:
    """Batching costs latency, so it begins only under load."""
    pace = Pace(EACH_S)
    assert pace.pause_s(MANY, time.monotonic(), MAX_S) == 0
    time.sleep(0.2)
    spend(0.002)
    assert pace.pause_s(MANY, time.monotonic(), MAX_S) == 0


def test_a_busy_loop_rests_for_a_multiple_of_what_its_round_cost() -> None:
    """So that rounds take a share of the process and not all of it."""
    assert 0.008 < pause_after(0.004) < MAX_S


def test_a_round_and_its_rest_never_last_longer_than_allowed() -> None:
    """A round that is longer already is followed by the next at once."""
    assert pause_after(0.02) <= 0.01
    assert pause_after(0.05) == 0


def test_what_a_round_leaves_behind_is_mostly_done_in_the_pause() -> None:
    """So it does not shorten the pause by all that it costs."""
    assert 0.015 < pause_after(0.02, left_behind=True) <= 0.02


def test_a_round_over_a_few_is_followed_by_the_next_at_once() -> None:
    """Also in a process that is busy with other things, such as requests."""
    assert pause_after(0.01, over=2) == 0
