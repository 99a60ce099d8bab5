"""Owns the reasons for which a feed, or one viewer's response, ends. Pure.

The values are labels of the metric `viewers_ended`.
"""

from enum import StrEnum


class Ending(StrEnum):
    """A feed ends for one of the first three reasons, and ends its viewers' responses for the same one."""

    TERMINAL = "terminal"
    """The log has its last event."""
    GONE = "gone"
    """The log was deleted, or its retention has passed."""
    AWAY = "away"
    """This process cannot read Redis; the viewers resume, perhaps on another replica."""
    DRAINED = "drained"
    """This process shuts down."""
    STALLED = "stalled"
    """The viewer stopped reading."""
    BROKEN = "broken"
    """Writing to the viewer failed."""
    LEFT = "left"
    """The viewer left."""
