"""Owns the counts of one tenant's generations and requests, on the queue plane for all API processes.

The API makes a reservation before it creates a generation. `Queue.leave` gives it back when the generation is closed. A
reservation that was lost in between expires with the generation's deadline. Decides no limits. Raises
`LogUnavailable`.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from redis.asyncio import Redis

from outlive.shared.store import scripts
from outlive.shared.store.connect import replies_of, translated
from outlive.shared.store.keyspace import Keys

_RESERVE: Final = scripts.load("reserve", on_log=False)
_COUNT_REQUEST: Final = scripts.load("count_request", on_log=False, allow_oom=True)

_SLACK_S: Final = 10.0
"""A reservation outlives the deadline a little, until the sweep has ended its generation."""

WINDOW_S: Final = 60
"""Length of a minute, as `lua/count_request.lua` counts it."""


class Reservation(StrEnum):
    """Result of asking for a reservation."""

    NEW = "NEW"
    HELD = "HELD"
    """This generation has one already."""
    FULL = "FULL"
    """The tenant has as many as they may have."""
    BACKLOG = "BACKLOG"
    """Too many deliveries of all tenants wait for a worker."""


class Rate(NamedTuple):
    """Requests within the current minute, which ends in `left_s`."""

    asked: int
    left_s: float


class Quota:
    """The counts of all tenants of one Outlive."""

    def __init__(self, redis: Redis, keys: Keys, *, expiry_s: float) -> None:
        """`expiry_s`: longer than any deadline."""
        self._redis = redis
        self._keys = keys
        self._expiry_ms = round((expiry_s + _SLACK_S) * 1000)

    async def reserve(
        self, generation_id: str, tenant: str, *, max_active: int, max_waiting: int, lasts_s: float
    ) -> Reservation:
        """Reserve one of the tenant's `max_active` generations for `lasts_s`, unless `max_waiting` deliveries wait
        already."""
        keys = [self._keys.active_of(tenant), self._keys.holder(generation_id), self._keys.queue]
        lasts_ms = round((lasts_s + _SLACK_S) * 1000)
        args = (generation_id, tenant, max_active, max_waiting, lasts_ms, self._expiry_ms)
        reply: bytes = await scripts.run(self._redis, scripts.Call(_RESERVE, keys, args))
        return Reservation(reply.decode())

    async def waiting(self) -> int:
        """How many deliveries of all tenants wait for a worker."""
        with translated():
            return int(await self._redis.zcard(self._keys.queue))

    async def count_request(self, subject: str) -> Rate:
        """Count one more request of `subject`: a tenant, or the generation whose token the client sent."""
        reply = await scripts.run(self._redis, scripts.Call(_COUNT_REQUEST, [self._keys.requests(subject)], ()))
        return Rate(int(reply[0]), int(reply[1]) / 1000)


async def give_back(redis: Redis, keys: Keys, generation_id: str) -> None:
    """Remove a generation from the active ones, and from its tenant's reservations."""
    with translated():
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.active, generation_id)
            pipe.get(keys.holder(generation_id))
            _, tenant = await replies_of(pipe)
        if tenant is None:
            return
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.active_of(tenant.decode()), generation_id)
            pipe.delete(keys.holder(generation_id))
            await replies_of(pipe)
