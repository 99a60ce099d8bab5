"""Viewers that have stopped reading are cut, in time, and only they."""

import asyncio

import pytest

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.slow_viewers import cut_stalled, cut_stalled_until_cancelled
from outlive.api.fanout.viewer import Viewer
from tests.support.fanout import ID, Clock, Logs, Screen, events, feeds_of, viewer_of

pytestmark = pytest.mark.anyio

STALL_S = 30.0


def _watched() -> tuple[Feeds, list[Viewer], list[Screen]]:
    feeds, _ = feeds_of(Logs(events(1)))
    opened = feeds.open(ID)
    screens = [Screen(), Screen()]
    viewers = [viewer_of(opened.feed, screen) for screen in screens]
    for viewer in viewers:
        feeds.add_watcher(opened, viewer)
    return feeds, viewers, screens


async def test_a_viewer_that_has_stalled_for_longer_is_cut() -> None:
    """The others are not; and it counts as stalled, not as one that left."""
    feeds, viewers, screens = _watched()
    screens[0].stalled_since = 100.0
    cut_stalled(feeds, 100.0 + STALL_S, STALL_S)
    assert not screens[0].is_cut
    cut_stalled(feeds, 100.1 + STALL_S, STALL_S)
    assert [screen.is_cut for screen in screens] == [True, False]
    assert [viewer.outcome for viewer in viewers] == [Ending.STALLED, Ending.LEFT]


async def test_a_stalled_viewer_is_cut_within_a_fifth_more() -> None:
    """That is how often viewers are asked."""
    feeds, _, screens = _watched()
    clock = Clock()
    screens[0].stalled_since = clock.now
    running = asyncio.create_task(cut_stalled_until_cancelled(feeds, STALL_S, clock))
    while not screens[0].is_cut:
        await asyncio.sleep(0)
    running.cancel()
    assert clock.now <= Clock().now + 1.2 * STALL_S + STALL_S / 5
