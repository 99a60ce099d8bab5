"""Owns the life of a viewer: its states, and which may follow which. What it does in each: `viewer.py`. Pure.

JOINING   its resume point is being looked for (`resume.py`); nothing is written
   |      join, reset
   v
LIVE      it is at a position of the feed's window; `advance` writes what follows
 ^ |      the position fell below the window
 | v
PAGING    one page is being read from the log (`pages.py`); then it is LIVE again, and if the window
   |      does not hold what follows, PAGING again
   |
   |      from each of these, when the response must end before the log does: `leave` (drain), the log is gone,
   v      Redis is away, or a format without `reset` cannot go on
LEAVING   the farewell is written as soon as the sink takes it
   |      from each state: everything was written, the connection is lost (`detach`), or a write failed
   v
ENDED     nothing is written any more
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a viewer is in its life."""

    JOINING = "joining"
    LIVE = "live"
    PAGING = "paging"
    LEAVING = "leaving"
    ENDED = "ended"


MAY_FOLLOW: Final = {
    State.JOINING: frozenset({State.LIVE, State.LEAVING, State.ENDED}),
    State.LIVE: frozenset({State.PAGING, State.LEAVING, State.ENDED}),
    State.PAGING: frozenset({State.LIVE, State.LEAVING, State.ENDED}),
    State.LEAVING: frozenset({State.ENDED}),
    State.ENDED: frozenset[State](),
}
"""The only changes there are."""
