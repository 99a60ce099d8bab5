"""Owns what we require of a Redis server, and the look at one when a process starts.

What would void our promises is refused in one sentence; what only weakens them is warned of. By
INFO alone: hosted servers often forbid CONFIG. Knows nothing of generations.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from outlive.shared.errors import UnfitRedis
from outlive.shared.store.connect import translated

log = logging.getLogger(__name__)

_MIN: Final = (7, 0)
_POLICY: Final = "noeviction"


async def require_fit(servers: Iterable[Redis]) -> None:
    """All that is written to. Raises `UnfitRedis`, with what to change, and `LogUnavailable` when one
    does not answer."""
    for redis in servers:
        await _require_fit(redis)


async def _require_fit(redis: Redis) -> None:
    try:
        with translated():
            info = await redis.info()
    except NoPermissionError:
        log.warning("redis does not let us ask INFO: its version, persistence and eviction are not known")
        return
    for sentence in judge(info):
        log.warning(sentence)


def judge(info: Mapping[str, Any]) -> list[str]:
    """Warnings about the server that `info` (redis-py's INFO) describes. Raises `UnfitRedis`."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _MIN:
        raise UnfitRedis(f"Redis {version} is too old: 7.0 or newer is needed, or Valkey.")
    policy = info.get("maxmemory_policy", _POLICY)
    if policy != _POLICY:
        raise UnfitRedis(f"Redis may evict logs (maxmemory-policy {policy}): set it to {_POLICY}.")
    if not info.get("aof_enabled", 1):
        return ["redis keeps no append-only file, so its restart loses answers: set appendonly yes"]
    return []
