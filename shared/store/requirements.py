"""Owns our requirements of a Redis server, and their check when a process starts.

A server that would break our promises is refused with one sentence. One that only weakens them gives a warning. Reads
INFO alone, because hosted servers often forbid CONFIG. Knows nothing of generations.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from outlive.shared.errors import UnfitRedis
from outlive.shared.store.connect import translated

log = logging.getLogger(__name__)

_MIN_VERSION: Final = (7, 0)
_POLICY: Final = "noeviction"


async def require_fit(servers: Iterable[Redis]) -> None:
    """Check every server that we write to. Raises `UnfitRedis`, which says what to change, and `LogUnavailable` when
    one does not reply."""
    for redis in servers:
        await _require_fit(redis)


async def require_channels(servers: Iterable[Redis], channel: str, *, subscribe: bool) -> None:
    """Check that these servers of the log plane let us publish to the channels of logs, of which `channel` is one, and
    `subscribe`. Raises `UnfitRedis` and `LogUnavailable`."""
    for redis in servers:
        if fault := await channel_fault(redis, channel, subscribe=subscribe):
            raise UnfitRedis(fault)


async def channel_fault(redis: Redis, channel: str, *, subscribe: bool) -> str | None:
    """What keeps us from the channels of logs at one server, and what to do; None if nothing does. On a connection of
    its own, because one that subscribes serves no other command. Raises `LogUnavailable`."""
    # redis-py has no types for these methods.
    connection: Any = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    commands = [("SPUBLISH", channel, ""), *([("SSUBSCRIBE", channel)] if subscribe else [])]
    try:
        with translated():
            await connection.connect()
            for command in commands:
                await connection.send_command(*command)
                try:
                    await connection.read_response()
                except ResponseError as error:
                    if fault := _fault_of(error, command[0], channel):
                        return fault
    finally:
        await connection.disconnect(nowait=True)
    return None


def _fault_of(error: ResponseError, command: str, channel: str) -> str | None:
    pattern = channel.partition("{")[0] + "{*"
    if isinstance(error, NoPermissionError):
        return (
            f"Redis does not allow this user {command} on the channels of logs; add &{pattern} and +@pubsub to its "
            "rights, as deploy/redis/users.acl does."
        )
    if "unknown command" in str(error):
        return f"Redis has no {command}; connect to a server that has sharded channels, without a proxy that hides it."
    # MOVED, say: that another node has this channel shows that we may use it.
    return None


async def _require_fit(redis: Redis) -> None:
    try:
        with translated():
            info = await redis.info()
    except NoPermissionError:
        log.warning(
            "redis forbids INFO, so its version, persistence and eviction are unchecked: allow INFO to this user"
        )
        return
    for warning in judge(info):
        log.warning(warning)


def judge(info: Mapping[str, Any]) -> list[str]:
    """Warnings about the server that `info` (redis-py's INFO) describes. Raises `UnfitRedis`."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _MIN_VERSION:
        raise UnfitRedis(f"Redis {version} is too old; use Redis 7.0 or newer, or Valkey.")
    policy = info.get("maxmemory_policy", _POLICY)
    if policy != _POLICY:
        raise UnfitRedis(f"Redis may evict logs because its maxmemory-policy is {policy}; set it to {_POLICY}.")
    if not info.get("aof_enabled", 1):
        return ["redis has no append-only file, so a restart loses answers: set appendonly yes"]
    return []
