"""Owns the end of feeds without watchers: they stay warm for viewers that reconnect, then they are dropped."""

from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.loop_clock import Clock


async def close_idle_until_cancelled(feeds: Feeds, linger_s: float, clock: Clock) -> None:
    """Twice in `linger_s`, so that a feed lingers for at most one and a half of it."""
    while True:
        await clock.sleep(linger_s / 2)
        close_idle(feeds, clock.time(), linger_s)


def close_idle(feeds: Feeds, now: float, linger_s: float) -> None:
    """Drop the feeds that have had no watcher for longer than `linger_s`."""
    for opened in feeds:
        if opened.idle_since is not None and now - opened.idle_since > linger_s:
            feeds.drop(opened)
