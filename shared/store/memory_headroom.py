"""Owns the look at how full the servers are: whether there is room for something new on all of them.

New work stops well before Redis refuses writes, so that what runs can be told to its end. One look a
second, however many ask. A server that has no limit, or does not tell, has room.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from outlive.shared.errors import LogUnavailable
from outlive.shared.store.connect import translated

_LOOK_S: Final = 1.0


class MemoryHeadroom:
    """All servers that are written to, as one process sees them."""

    def __init__(self, servers: Callable[[], Awaitable[list[Redis]]], *, share: float) -> None:
        """`share`: how much of the memory of each may be in use."""
        self._servers = servers
        self._share = share
        self._has = True
        self._until = 0.0

    async def has(self) -> bool:
        """Whether something new may be begun; at most a second old. Raises `LogUnavailable`."""
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            self._until = now + _LOOK_S
            found = [await self._look(redis) for redis in await self._servers()]
            if all(isinstance(look, LogUnavailable) for look in found):
                raise LogUnavailable
            # A node of a cluster that is away refuses its own generations, not the others'.
            self._has = all(found)
        return self._has

    async def _look(self, redis: Redis) -> bool | LogUnavailable:
        try:
            return await self._has_one(redis)
        except LogUnavailable as error:
            return error

    async def _has_one(self, redis: Redis) -> bool:
        try:
            with translated():
                return has_room(await redis.info("memory"), self._share)
        except NoPermissionError:
            return True


def has_room(info: Mapping[str, Any], share: float) -> bool:
    """By `INFO memory`. What replicas and the append-only file need for a moment does not count: Redis
    does not count it either when it refuses."""
    limit = int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return limit == 0 or used < limit * share
