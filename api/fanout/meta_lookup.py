"""Owns the reads of meta for viewers that arrive: all that arrive at once share one read.

A thousand viewers that resume at one moment would ask Redis a thousand times the same. A shared read begins after the
last of them came, so no caller gets an older state than when it asked; and the reads of one generation begin at
least 50 ms apart. Knows nothing of viewers or HTTP.
"""

import asyncio
from typing import Final

from outlive.api.fanout.loop_clock import Clock, LoopClock
from outlive.shared.log.reader import LogReader, shown_to
from outlive.shared.model.generation import Meta

_PACE_S: Final = 0.05
"""A lone viewer never waits for it, and one in a storm does not feel it."""

MetaReply = Meta | str | None
"""As `LogReader.metas` has it."""


class SingleFlightMeta:
    """One per process."""

    def __init__(self, reader: LogReader, clock: Clock | None = None) -> None:
        self._reader = reader
        self._clock = clock or LoopClock()
        self._next: dict[str, asyncio.Task[MetaReply]] = {}
        """By generation: a read that has not begun yet, so that callers that come now may share it."""
        self._began: dict[str, float] = {}
        """When the last read of a generation began, oldest first; those older than the pace are forgotten."""
        self._under_way: set[asyncio.Task[MetaReply]] = set()

    async def meta(self, generation_id: str, tenant: str) -> Meta:
        """From a read that begins no earlier than now. Raises what `LogReader.meta` raises."""
        read = self._next.get(generation_id)
        if read is None:
            read = self._next[generation_id] = asyncio.create_task(self._read(generation_id))
            self._under_way.add(read)
            read.add_done_callback(self._ended)
        # Shielded: a viewer that leaves must not cancel the read for the others.
        return shown_to(tenant, await asyncio.shield(read))

    async def _read(self, generation_id: str) -> MetaReply:
        began = self._began.get(generation_id)
        if began is not None and (early_s := began + _PACE_S - self._clock.time()) > 0:
            await self._clock.sleep(early_s)
        del self._next[generation_id]
        self._note_begin(generation_id, self._clock.time())
        return (await self._reader.metas([generation_id]))[0]

    def _note_begin(self, generation_id: str, now: float) -> None:
        self._began.pop(generation_id, None)
        # Holds only generations that were asked for just now: as many as one pace of the busiest moment had.
        while self._began and now - self._began[oldest := next(iter(self._began))] > _PACE_S:
            del self._began[oldest]
        self._began[generation_id] = now

    def _ended(self, read: asyncio.Task[MetaReply]) -> None:
        self._under_way.discard(read)
        if not read.cancelled():
            # Retrieved here, because all that shared it may have left: asyncio would complain later.
            read.exception()
