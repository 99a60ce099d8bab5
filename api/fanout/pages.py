"""Owns the reads of log pages for viewers below their feed's window, and the tasks in which they run.

A viewer writes in other tasks, in which Redis must not be asked; so it requests a page here, and is handed it later.
Knows nothing of frames.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from outlive.shared.errors import OutliveError
from outlive.shared.log.reader import Logged, LogReader, Question
from outlive.shared.model.cursor import Cursor


class PageTaker(Protocol):
    """Requests one page at a time, and is called with it, or with the reason why there is no page."""

    def take_page(self, events: Sequence[Logged]) -> None: ...

    def miss_page(self, error: Exception) -> None: ...


class Pages:
    """One per process."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, taker: PageTaker, generation_id: str, after: Cursor, count: int) -> None:
        """Read up to `count` events after the cursor. An empty page means that the log is gone."""
        task = asyncio.ensure_future(self._read(taker, generation_id, after, count))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Cancel all reads, because the hub stops. Their takers are not called."""
        for task in self._tasks:
            task.cancel()

    async def _read(self, taker: PageTaker, generation_id: str, after: Cursor, count: int) -> None:
        try:
            (page,) = await self._reader.pages_from([Question(generation_id, after, count)])
            if isinstance(page, OutliveError):
                raise page
            # Also where the log has lost the cursor: what follows there does not follow what the viewer has seen.
            events = page or ()
        except Exception as error:
            # Also mistakes of ours: they end this one viewer, and no other.
            taker.miss_page(error)
        else:
            taker.take_page(events)
