"""Owns whether all Redis servers have enough free memory to start something new.

New work stops well before Redis refuses writes, so that running answers can finish. One check a second, however many
ask. A server without a limit, or one that does not tell it, counts as free. Reads no clock: it is an argument.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from outlive.shared.errors import LogUnavailable
from outlive.shared.store.connect import translated

_CHECK_INTERVAL_S: Final = 1.0


class MemoryHeadroom:
    """The memory of all servers that we write to, as one process sees it."""

    def __init__(
        self, servers: Callable[[], Awaitable[list[Redis]]], *, share: float, monotonic: Callable[[], float]
    ) -> None:
        """`share`: how much of each server's maxmemory may be in use. `monotonic`: a clock in seconds."""
        self._servers = servers
        self._share = share
        self._monotonic = monotonic
        self._has = True
        self._valid_until = float("-inf")

    async def has(self) -> bool:
        """Whether something new may start; at most a second old. Raises `LogUnavailable` when no server replies."""
        now = self._monotonic()
        if now >= self._valid_until:
            self._valid_until = now + _CHECK_INTERVAL_S
            self._has = all_have_room([await self._check(redis) for redis in await self._servers()])
        return self._has

    async def _check(self, redis: Redis) -> bool | LogUnavailable:
        try:
            with translated():
                return has_room(await redis.info("memory"), self._share)
        except NoPermissionError:
            return True
        except LogUnavailable as error:
            return error


def all_have_room(servers: Sequence[bool | LogUnavailable]) -> bool:
    """Whether no server is full; an error stands for a server that did not reply. A node of a cluster that is away
    counts as free: it refuses its own generations, not the others'. Raises `LogUnavailable` when no server replied."""
    if all(isinstance(server, LogUnavailable) for server in servers):
        raise LogUnavailable
    return all(servers)


def has_room(info: Mapping[str, Any], share: float) -> bool:
    """Whether the server of this `INFO memory` uses less than `share` of its limit. Memory that replicas and the
    append-only file need for a moment does not count, because Redis does not count it either when it refuses."""
    limit = int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return limit == 0 or used < limit * share
