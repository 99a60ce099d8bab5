"""Owns cutting viewers that have stopped reading, so that what they hold is free again.

The kernel would not: a closed window that is still acknowledged keeps TCP_USER_TIMEOUT from firing.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from outlive.api.fanout.viewer import Viewer

_LOOKS: Final = 5
"""In `stall_s`, so that a viewer is cut after 1.2 of it at the latest."""


async def cut_stalled(viewers: Collection[Viewer], stall_s: float) -> None:
    """Until cancelled; `viewers` is the hub's own, as it changes."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(stall_s / _LOOKS)
        for viewer in list(viewers):
            if viewer.sink.has_stalled(loop.time(), stall_s):
                viewer.outcome = "stalled"
                viewer.sink.cut()
