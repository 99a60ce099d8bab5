"""How long a busy loop pauses: never while there is time to spare, never longer than allowed."""

from dataclasses import dataclass

import pytest

from outlive.shared.runtime.pacing import Pace

MAX_S = 0.03
MANY = 1000
EACH_S = 0.000_075


@dataclass
class Clocks:
    """Real time and the CPU time of one thread, as far as a test lets them pass."""

    real_s: float = 1000.0
    cpu_s: float = 7.0

    def spend(self, cpu_s: float) -> None:
        """The thread is at work for so long."""
        self.real_s += cpu_s
        self.cpu_s += cpu_s

    def pace(self) -> Pace:
        return Pace(EACH_S, monotonic=lambda: self.real_s, thread_time=lambda: self.cpu_s)


def pause_after(cpu_s: float, over: int = MANY, *, left_behind: bool = False) -> float:
    """The pause after one round of this cost. `left_behind`: the cost is that of work which the previous round left."""
    clocks = Clocks()
    pace, began_s = clocks.pace(), clocks.real_s
    clocks.spend(cpu_s)
    return pace.pause_s(over, clocks.real_s if left_behind else began_s, MAX_S)


def test_a_loop_with_little_to_do_never_waits() -> None:
    """Batching costs latency, so it begins only under load."""
    clocks = Clocks()
    pace = clocks.pace()
    assert pace.pause_s(MANY, clocks.real_s, MAX_S) == 0
    clocks.real_s += 0.2
    clocks.spend(0.002)
    assert pace.pause_s(MANY, clocks.real_s, MAX_S) == 0


def test_load_is_measured_from_one_round_to_the_next() -> None:
    """A process that was idle a minute ago is busy now, and a busy one that rests is idle."""
    clocks = Clocks()
    pace = clocks.pace()
    clocks.real_s += 60
    assert pace.pause_s(MANY, clocks.real_s, MAX_S) == 0
    began_s = clocks.real_s
    clocks.spend(0.002)
    assert pace.pause_s(MANY, began_s, MAX_S) > 0
    clocks.real_s += 0.1
    assert pace.pause_s(MANY, clocks.real_s, MAX_S) == 0


def test_a_busy_loop_rests_for_a_multiple_of_what_its_round_cost() -> None:
    """So that rounds take a share of the process and not all of it."""
    assert pause_after(0.002) == pytest.approx(7 * 0.002)
    assert 0.008 < pause_after(0.004) < MAX_S


def test_a_round_and_its_rest_never_last_longer_than_allowed() -> None:
    """A round that is longer already is followed by the next at once."""
    assert pause_after(0.02) == pytest.approx(MAX_S - 0.02)
    assert pause_after(0.05) == 0


def test_what_a_round_leaves_behind_is_mostly_done_in_the_pause() -> None:
    """So it does not shorten the pause by all that it costs."""
    assert pause_after(0.02, left_behind=True) == pytest.approx(MAX_S - 0.02 / 2)


def test_a_round_over_a_few_is_followed_by_the_next_at_once() -> None:
    """Also in a process that is busy with other things, such as requests."""
    assert pause_after(0.01, over=2) == 0


def test_each_viewer_or_log_lengthens_the_pause() -> None:
    """A round over few saves little by waiting."""
    assert pause_after(0.01, over=100) == pytest.approx(100 * EACH_S)
