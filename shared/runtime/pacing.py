"""Owns how long a busy loop waits before its next round, so that more goes into each.

A round over many viewers, or many logs, costs by their number and hardly by what it carries. Taken
as often as something is new, it fills the process; taken less often it leaves it room, and the price
is latency that nobody sees who is not behind already. So the pause follows the CPU time of the last
round. There is none as long as the process is mostly idle, nor for a round over a few, whatever else
the process is busy with: waiting would save next to nothing. Knows nothing of what a round does.
"""

import time
from typing import Final

_BUSY: Final = 0.1
"""Of the time: with less than this used there is nothing to save."""

_BEHIND: Final = 0.5
"""Of what a round costs: most are writes that it leaves behind, which go on in the pause. With none of
it counted, the last viewers of a full process waited 60 ms; with all, rounds came a fifth too often."""

_MIN_S: Final = 0.001
_REST: Final = 7.0
"""Times a round's own cost: rounds then take an eighth of the process."""


class Pace:
    """Ask `pause_s` at the end of every round."""

    def __init__(self, each_s: float) -> None:
        """`each_s` bounds a pause by what the round was over: of few there is little to save."""
        self._each_s = each_s
        self._used_s = time.thread_time()
        self._at_s = time.monotonic()

    def pause_s(self, over: int, began_s: float, max_s: float) -> float:
        """How long to wait after a round over so many that began then, by the monotonic clock; zero for not
        at all. `max_s` is the longest time from one round to the next that pauses may bring about."""
        used_s, at_s = time.thread_time(), time.monotonic()
        # All that this thread did: reading and encoding cost as well as writing, and much of the
        # writing comes after the round.
        spent_s, passed_s = used_s - self._used_s, at_s - self._at_s
        self._used_s, self._at_s = used_s, at_s
        took_s = max(at_s - began_s, spent_s * _BEHIND)
        pause_s = min(spent_s * _REST, over * self._each_s, max_s - took_s)
        return 0.0 if spent_s < _BUSY * passed_s or pause_s < _MIN_S else pause_s
