"""Viewers that are behind are written to in order: all of them, none twice for one event, none too late."""

import asyncio

import pytest

from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import WriteQueue
from outlive.shared.model.cursor import START
from tests.support.fanout import Screen, event, feed_of, viewer_of

pytestmark = pytest.mark.anyio

VIEWERS = 1000


def _watched() -> tuple[list[Viewer], list[Screen]]:
    feed, screens = feed_of(), [Screen() for _ in range(VIEWERS)]
    return [viewer_of(feed, screen, after=START) for screen in screens], screens


async def test_events_that_come_while_others_are_written_to_go_into_the_same_write() -> None:
    """Overload becomes larger writes, not more of them; and every viewer is sent everything."""
    viewers, screens = _watched()
    queue = WriteQueue()
    viewers[0].feed.extend([event(0)])
    queue.add(viewers)
    begun = sum(bool(screen.writes) for screen in screens)
    assert 0 < begun < VIEWERS
    viewers[0].feed.extend([event(1)])
    queue.add(viewers)
    assert sum(bool(screen.writes) for screen in screens) == begun
    running = asyncio.create_task(queue.run())
    while any(screen.seqs != [0, 1] for screen in screens):
        await asyncio.sleep(0)
    running.cancel()
    # Viewers of the first round had been sent the first event by itself, the others get both at once.
    assert sorted(len(screen.writes) for screen in screens) == [1] * (VIEWERS - begun) + [2] * begun


async def test_a_few_viewers_are_written_to_before_anything_else_happens() -> None:
    """With little to do no event waits for another turn of the loop."""
    viewers, screens = _watched()
    viewers[0].feed.extend([event(0)])
    WriteQueue().add([viewers[0]])
    assert sum(bool(screen.writes) for screen in screens) == 1
