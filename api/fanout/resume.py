"""Owns where a viewer goes on: after what it has seen, or at the start after a `reset` (R8).

Its resume point may be in its feed's window, in the log below the window, or nowhere yet: a failover lost that event,
and its worker is about to write it again. How a point is found in a window: `encoded_window.py`.
"""

from typing import Final

from outlive.api.fanout.feed import Feed
from outlive.api.fanout.loop_clock import Clock
from outlive.api.fanout.viewer import Viewer
from outlive.api.formats.format import Format, ResumePoint
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START

_HEAL_POLL_S: Final = 0.05


async def resume(viewer: Viewer, after: ResumePoint, reader: LogReader, *, heal_s: float, clock: Clock) -> None:
    """Let the viewer join after this point. Waits up to `heal_s` for an event that a failover lost. Raises
    `LogUnavailable`."""
    feed, format_ = viewer.feed, viewer.format
    match = feed.position_after(after, format_) or await _healed(feed, after, format_, heal_s, clock)
    if match is not None:
        viewer.join(after, *match)
    elif not await _may_be_in_log(feed, after, format_, reader):
        viewer.reset("unknown_cursor")
    elif feed.windows[format_].is_below(after):
        # Also an event that was waited for, if the window has moved on beyond it meanwhile.
        viewer.join(after, 0)
    else:
        # The log has it, but this process cannot read the log.
        raise LogUnavailable


async def _may_be_in_log(feed: Feed, after: ResumePoint, format_: Format, reader: LogReader) -> bool:
    """Whether the log has the point, though the window does not. Numbers of frames are believed below the window."""
    event = format_.event_of(after)
    if event is None or event == START:
        return feed.windows[format_].is_below(after)
    return await reader.has(feed.generation_id, event)


async def _healed(
    feed: Feed, after: ResumePoint, format_: Format, heal_s: float, clock: Clock
) -> tuple[int, bytes] | None:
    """A point ahead of an open log may be one that a failover lost, perhaps with its whole attempt: the worker writes
    it again when it next renews. Polled, because this is rare and a future for each point is not worth it."""
    until = clock.time() + heal_s
    while feed.ending is None and feed.windows[format_].is_ahead(after) and clock.time() < until:
        await clock.sleep(_HEAL_POLL_S)
    return feed.position_after(after, format_)
