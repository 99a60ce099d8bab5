"""Owns how long a busy loop pauses before its next round, so that each round carries more.

A round over many viewers, or many logs, costs per viewer or log, and hardly per byte. Run as often as something is new,
rounds fill the process. Run less often they leave it room, at the price of a latency that only viewers who are behind
already can notice. So the pause follows the CPU time of the last round. There is no pause while the process is mostly
idle, and none after a round over a few, however busy the process is: it would save next to nothing.

Pure: both clocks are arguments. Knows nothing of what a round does.
"""

from collections.abc import Callable
from typing import Final

_BUSY: Final = 0.1
"""Share of the time that this thread used: below it there is nothing to save."""

_BEHIND: Final = 0.5
"""Share of a round's CPU counted as its duration; the rest is socket writes that finish during the pause. At 0 the last
viewers of a full process waited 60 ms, at 1 rounds came 20 % too often."""

_MIN_S: Final = 0.001
_REST: Final = 7.0
"""Pause as a multiple of a round's CPU: rounds then take an eighth of the process."""


class Pace:
    """Ask `pause_s` at the end of every round."""

    def __init__(self, each_s: float, *, monotonic: Callable[[], float], thread_time: Callable[[], float]) -> None:
        """`each_s` is the longest pause for each viewer or log of a round, because a round over few saves little.
        `monotonic` and `thread_time` are clocks in seconds: real time, and the CPU time of the calling thread."""
        self._each_s = each_s
        self._monotonic = monotonic
        self._thread_time = thread_time
        self._used_s = thread_time()
        self._at_s = monotonic()

    def pause_s(self, over: int, began_s: float, max_s: float) -> float:
        """How long to wait after a round; zero for no pause.

        `over`: the number of viewers or logs of this round. `began_s`: when it began, by `monotonic`. `max_s`: the
        longest time from the beginning of one round to the next that a pause may cause.
        """
        used_s, at_s = self._thread_time(), self._monotonic()
        # All CPU of this thread: reading and encoding cost as well as writing, and much of the writing comes after
        # the round.
        spent_s, passed_s = used_s - self._used_s, at_s - self._at_s
        self._used_s, self._at_s = used_s, at_s
        took_s = max(at_s - began_s, spent_s * _BEHIND)
        pause_s = min(spent_s * _REST, over * self._each_s, max_s - took_s)
        return 0.0 if spent_s < _BUSY * passed_s or pause_s < _MIN_S else pause_s
