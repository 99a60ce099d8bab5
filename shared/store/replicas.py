"""Owns whether earlier writes have arrived at a replica.

WAIT covers only writes made on its own connection and returns at once if there were none, so on a pooled connection it
proves nothing. So this has a connection of its own, on a cluster one per partition, and writes a key before WAIT. When
that write has arrived, all writes that the server accepted before it have arrived too.
"""

import asyncio
from collections.abc import Iterable
from enum import Enum, auto

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from outlive.shared.errors import LogUnavailable
from outlive.shared.store.connect import BLOCK_S, replies_of, translated
from outlive.shared.store.keyspace import Keys, partition_of
from outlive.shared.store.plane import LogPlane


class Standing(Enum):
    """What we know of a generation's log as it was when we asked."""

    ALONE = auto()
    """Its server has no replica, or forbids INFO."""
    COPIED = auto()
    """A replica has all of it."""
    WAITING = auto()
    """No replica had all of it within `BLOCK_S`."""
    UNKNOWN = auto()
    """Its server did not reply."""


class Replicas:
    """The replicas of all servers of the log plane."""

    def __init__(self, plane: LogPlane, keys: Keys) -> None:
        self._plane = plane
        self._keys = keys
        self._clients: dict[str, Redis] = {}

    async def standing(self, generation_ids: Iterable[str]) -> dict[str, Standing]:
        """For each generation, whether a replica has all writes made before this call. Waits at most `BLOCK_S`."""
        groups: dict[str, list[str]] = {}
        for generation_id in generation_ids:
            groups.setdefault(self._plane.group_of(self._keys.log(generation_id)), []).append(generation_id)
        standings = await asyncio.gather(*(self._ask(group, ids[0]) for group, ids in groups.items()))
        return {i: standing for ids, standing in zip(groups.values(), standings, strict=True) for i in ids}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def _ask(self, group: str, generation_id: str) -> Standing:
        written = self._keys.written(partition_of(generation_id))
        if group not in self._clients:
            self._clients[group] = self._plane.blocking(written)
        redis = self._clients[group]
        try:
            with translated():
                if not await _replicas_of(redis):
                    return Standing.ALONE
                async with redis.pipeline(transaction=False) as pipe:
                    pipe.set(written, 1, px=round(BLOCK_S * 1000))
                    pipe.wait(1, round(BLOCK_S * 1000))
                    _, arrived = await replies_of(pipe)
        except LogUnavailable:
            return Standing.UNKNOWN
        return Standing.COPIED if arrived else Standing.WAITING


async def _replicas_of(redis: Redis) -> int:
    """How many replicas are connected now; 0 when the server forbids INFO."""
    try:
        info = await redis.info("replication")
    except NoPermissionError:
        return 0
    return int(info.get("connected_slaves", 0))
