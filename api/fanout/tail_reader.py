"""Owns one blocking read: new events of the watched logs of one group, as they come.

One Redis connection, however many viewers. A log that is added while the read waits would be missed until the read
ends; so the read is ended from another connection (CLIENT UNBLOCK, 0.5 ms). Knows nothing of feeds. Which groups there
are: `tail_readers.py`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from redis.asyncio import Redis

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.reader import Logged, read_tails
from outlive.shared.model.cursor import Cursor
from outlive.shared.runtime.pacing import Pace
from outlive.shared.store.connect import translated

log = logging.getLogger(__name__)

_COUNT: Final = 1000
_NUDGE_S: Final = 0.001
_AWAY_FIRST_S: Final = 0.05
_AWAY_MAX_S: Final = 1.0

_ROUND_S: Final = 0.04
"""The longest time that events gather when this process is busy: shorter than a reader of text notices."""
_LESS_EACH_S: Final = 0.000_03
_MIN_S: Final = 0.025
"""Less for each log, down to this: a worker that writes many batches already (`worker/publishing/publisher.py`).
If we read no faster than a worker flushes, one flush is split over two reads and half of it is late."""
_REST_EACH_S: Final = 0.000_075
"""Pause for each viewer and log: a write costs a seventh of this."""


class TailReader:
    """Calls `deliver` with each log key's new events, in order. `run` owns the reading."""

    def __init__(
        self,
        blocking: Redis,
        unblock: Callable[[int], Awaitable[None]],
        deliver: Callable[[Mapping[str, Sequence[Logged]]], int],
        reconnected: Callable[[], None],
    ) -> None:
        """`deliver` returns how many viewers the events are for; `unblock` ends a read that waits on the connection
        with this id. `reconnected` is called after an outage: the server may be another one since."""
        self._blocking = blocking
        self._unblock = unblock
        self._deliver = deliver
        self._reconnected = reconnected
        self._cursors: dict[str, Cursor] = {}
        self._version = 0
        self._reading_version: int | None = None
        self._client_id: int | None = None
        self._added = asyncio.Event()
        self._pace = Pace(_REST_EACH_S, monotonic=time.monotonic, thread_time=time.thread_time)
        self.away_since: float | None = None
        """Loop time since when Redis has not answered; None while it does."""

    def watch(self, key: str, after: Cursor) -> None:
        """From now on, deliver this log's events after the cursor."""
        self._cursors[key] = after
        self._version += 1
        self._added.set()

    def forget(self, key: str) -> None:
        """Read this log no more. What a read under way brings of it may still be delivered."""
        self._cursors.pop(key, None)

    async def run(self) -> None:
        """Read until cancelled. An outage is waited out."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_for_ever(), name="read tails")
            tasks.create_task(self._nudge_for_ever(), name="nudge the reader")

    async def _read_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        delay_s = _AWAY_FIRST_S
        while True:
            if not self._cursors:
                # Without a log to read, this process does not learn that Redis is back.
                self.away_since, delay_s = None, _AWAY_FIRST_S
                self._added.clear()
                await self._added.wait()
            try:
                batches = await self._read()
            except LogUnavailable:
                self._client_id = None
                if self.away_since is None:
                    log.warning("redis cannot be read; viewers wait")
                    self.away_since = loop.time()
                await asyncio.sleep(delay_s * random.uniform(0.5, 1))
                delay_s = min(delay_s * 2, _AWAY_MAX_S)
                continue
            if self.away_since is not None:
                log.warning("redis can be read again")
                self.away_since, delay_s = None, _AWAY_FIRST_S
                self._reconnected()
            if batches:
                await self._hand_on(batches)

    async def _read(self) -> dict[str, list[Logged]]:
        if self._client_id is None:
            with translated():
                self._client_id = await self._blocking.client_id()
        try:
            self._reading_version = self._version
            return await read_tails(self._blocking, self._cursors, count=_COUNT)
        finally:
            self._reading_version = None

    async def _hand_on(self, batches: dict[str, list[Logged]]) -> None:
        began_s = time.monotonic()
        for key, events in batches.items():
            if key in self._cursors:
                self._cursors[key] = max(self._cursors[key], events[-1].cursor)
        viewers = self._deliver(batches)
        logs = len(self._cursors)
        max_s = max(_ROUND_S - logs * _LESS_EACH_S, _MIN_S)
        if pause_s := self._pace.pause_s(viewers + logs, began_s, max_s):
            await asyncio.sleep(pause_s)

    async def _nudge_for_ever(self) -> None:
        """End a read that does not know a new log yet. Repeated, because UNBLOCK does nothing when
        the read has been sent but does not wait yet."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._reading_version is not None and self._reading_version < self._version:
                client_id = self._client_id
                try:
                    if client_id is not None:
                        await self._unblock(client_id)
                except LogUnavailable:
                    break
                await asyncio.sleep(_NUDGE_S)
