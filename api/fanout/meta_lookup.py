"""Owns the looks at meta for viewers that arrive: all who come at once share one.

A thousand viewers that resume in one moment would ask Redis a thousand times the same. A look that
is shared has begun after the last of them came, so nobody is told what was true before he asked; and
looks at one generation are begun at most every 50 ms. Knows nothing of viewers or HTTP.
"""

import asyncio
from typing import Final

from outlive.shared.log.reader import LogReader, shown_to
from outlive.shared.model.generation import Meta

_PACE_S: Final = 0.05
"""What a lone viewer never waits, and one in a storm does not feel."""

Look = Meta | str | None


class SingleFlightMeta:
    """One per process."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._next: dict[str, asyncio.Task[Look]] = {}
        """By generation: a look that has not begun yet, so that whoever comes now may share it."""
        self._began: dict[str, float] = {}
        self._under_way: set[asyncio.Task[Look]] = set()

    async def meta(self, generation_id: str, tenant: str) -> Meta:
        """A look that begins no earlier than now. Raises what `LogReader.meta` raises."""
        look = self._next.get(generation_id)
        if look is None:
            look = self._next[generation_id] = asyncio.create_task(self._look(generation_id))
            self._under_way.add(look)
            look.add_done_callback(self._ended)
        # Shielded: one viewer that leaves takes nothing from the others.
        return shown_to(tenant, await asyncio.shield(look))

    async def _look(self, generation_id: str) -> Look:
        loop = asyncio.get_running_loop()
        began = self._began.get(generation_id)
        if began is not None and (early_s := began + _PACE_S - loop.time()) > 0:
            await asyncio.sleep(early_s)
        del self._next[generation_id]
        if generation_id not in self._began:
            # Forgotten when it is over, so that this holds only who was asked for just now.
            loop.call_later(_PACE_S, self._forget, generation_id)
        self._began[generation_id] = loop.time()
        return (await self._reader.metas([generation_id]))[0]

    def _forget(self, generation_id: str) -> None:
        began = self._began.pop(generation_id)
        loop = asyncio.get_running_loop()
        if (left_s := began + _PACE_S - loop.time()) > 0:
            self._began[generation_id] = began
            loop.call_later(left_s, self._forget, generation_id)

    def _ended(self, look: asyncio.Task[Look]) -> None:
        self._under_way.discard(look)
        if not look.cancelled():
            # Read here, because all who shared it may have left: asyncio would complain later.
            look.exception()
