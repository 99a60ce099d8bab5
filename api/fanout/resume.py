"""Owns where a viewer goes on: behind what it has seen, or at the start after a `reset` (R8).

What it has seen may stand in its feed, in the log below the feed's window, or nowhere yet: a failover
lost it, and its worker is about to write it again.
"""

import asyncio
from typing import Final

from outlive.api.fanout.feed import Feed
from outlive.api.fanout.viewer import Viewer
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START

_HEAL_POLL_S: Final = 0.05


async def place(viewer: Viewer, after: ResumePoint, reader: LogReader, *, heal_s: float) -> None:
    """Let the viewer go on after this. Waits up to `heal_s` for what a failover lost. Raises
    `LogUnavailable`."""
    feed, wire = viewer.feed, viewer.wire
    found = feed.position_after(after, wire)
    if found is None and await _is_below_window(feed, after, wire, reader):
        viewer.place(after, None)
        return
    found = found or await _healed(feed, after, wire, heal_s)
    if found is not None:
        viewer.place(after, *found)
    else:
        viewer.reset("unknown_cursor")


async def _is_below_window(feed: Feed, after: ResumePoint, wire: Format, reader: LogReader) -> bool:
    if after == START or not feed.is_below_window(after, wire):
        return after == START
    return isinstance(after, FrameNumber) or await reader.has(feed.generation_id, after)


async def _healed(feed: Feed, after: ResumePoint, wire: Format, heal_s: float) -> tuple[int, bytes] | None:
    """A place ahead of an open log may be one a failover lost, perhaps with its attempt: its worker
    writes it again when it next renews. Polled, because it is rare and a future per place is not worth
    it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + heal_s
    while feed.ending is None and feed.is_ahead(after, wire) and loop.time() < until:
        await asyncio.sleep(_HEAL_POLL_S)
    return feed.position_after(after, wire)
