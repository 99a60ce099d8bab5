"""Owns the rhythm of heartbeats. Which viewer is quiet enough for one is decided in `viewer.py`."""

from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.loop_clock import Clock


async def beat_until_cancelled(feeds: Feeds, heartbeat_s: float, clock: Clock) -> None:
    """A viewer gets a heartbeat `heartbeat_s` after the last write to it, or up to half of that earlier."""
    while True:
        await clock.sleep(heartbeat_s / 2)
        for watcher in list(feeds.watchers):
            watcher.tick()
