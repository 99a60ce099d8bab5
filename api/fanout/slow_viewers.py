"""Owns cutting viewers that have stopped reading, so that what they hold becomes free.

The kernel would not: a closed window that is still acknowledged keeps TCP_USER_TIMEOUT from firing. What counts as
stalled is the sink's knowledge (`sink.py`).
"""

from typing import Final

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.loop_clock import Clock

_CHECKS: Final = 5
"""In `stall_s`, so that a viewer is cut after at most 1.2 of it."""


async def cut_stalled_until_cancelled(feeds: Feeds, stall_s: float, clock: Clock) -> None:
    while True:
        await clock.sleep(stall_s / _CHECKS)
        cut_stalled(feeds, clock.time(), stall_s)


def cut_stalled(feeds: Feeds, now: float, stall_s: float) -> None:
    """Cut every viewer that has waiting bytes and has taken none of them for longer than `stall_s`."""
    for watcher in list(feeds.watchers):
        if watcher.has_stalled(now, stall_s):
            watcher.cut(Ending.STALLED)
