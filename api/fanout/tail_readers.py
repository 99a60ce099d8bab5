"""Owns the blocking reads of this process: one if all logs share a server; on a cluster one per partition that has had
a live feed, at most 64.

A partition's read has a connection of its own to the node that owns the partition, and follows the partition: if that
node is lost or hands it over, the viewers of that partition see a pause. Knows nothing of feeds. One such read:
`tail_reader.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from redis.asyncio import Redis

from outlive.api.fanout.tail_reader import TailReader
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import Cursor
from outlive.shared.store.plane import LogPlane


class TailReaders:
    """Calls `deliver` with each watched log key's new events, in order. `run` owns the reading."""

    def __init__(
        self,
        plane: LogPlane,
        deliver: Callable[[Mapping[str, Sequence[Logged]]], int],
        reconnected: Callable[[], None],
    ) -> None:
        """`deliver` returns how many viewers the events are for. `reconnected` is called after an outage: the server
        may be another one since."""
        self._plane = plane
        self._deliver = deliver
        self._reconnected = reconnected
        self._readers: dict[str, TailReader] = {}
        self._clients: list[Redis] = []
        self._tasks: asyncio.TaskGroup | None = None

    def watch(self, key: str, after: Cursor) -> None:
        """From now on, deliver this log's events after the cursor."""
        self._reader_of(key).watch(key, after)

    def forget(self, key: str) -> None:
        """Read this log no more. What a read under way brings of it may still be delivered."""
        if (reader := self._readers.get(self._plane.group_of(key))) is not None:
            reader.forget(key)

    def away_since(self, key: str) -> float | None:
        """Loop time since when this log's Redis has not answered; None while it does."""
        reader = self._readers.get(self._plane.group_of(key))
        return reader.away_since if reader is not None else None

    async def run(self) -> None:
        """Read until cancelled. An outage is waited out."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for reader in self._readers.values():
                    self._tasks.create_task(reader.run(), name="tail reader")
                await asyncio.Event().wait()
        finally:
            for client in self._clients:
                await client.aclose()

    def _reader_of(self, key: str) -> TailReader:
        group = self._plane.group_of(key)
        if group not in self._readers:
            blocking = self._plane.blocking(key)
            self._clients.append(blocking)
            unblock = partial(self._plane.unblock, key)
            self._readers[group] = reader = TailReader(blocking, unblock, self._deliver, self._reconnected)
            if self._tasks is not None:
                self._tasks.create_task(reader.run(), name=f"tail reader {group}")
        return self._readers[group]
