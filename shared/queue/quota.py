"""Owns what one tenant has and asks at a time, counted on the queue plane for all API processes.

A place is reserved before a generation is made and given back when it is closed (`Queue.leave`); what
is lost between expires with the generation's deadline. Decides no limits. Raises `LogUnavailable`.
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
"""A place is kept a little beyond the deadline, until the sweep has ended what had it."""

WINDOW_S: Final = 60


class Reservation(StrEnum):
    """What became of asking for one."""

    NEW = "NEW"
    HELD = "HELD"
    """This generation has one already."""
    FULL = "FULL"
    """The tenant has all of his."""
    BACKLOG = "BACKLOG"
    """Too much waits for a worker, whoever it is that asks."""


class Rate(NamedTuple):
    """Requests within a minute that ends in `left_s`."""

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
        self, generation_id: str, tenant: str, *, most: int, max_waiting: int, lasts_s: float
    ) -> Reservation:
        """A place among the tenant's `most`, unless `max_waiting` deliveries wait already."""
        keys = [self._keys.active_of(tenant), self._keys.holder(generation_id), self._keys.queue]
        lasts_ms = round((lasts_s + _SLACK_S) * 1000)
        args = (generation_id, tenant, most, max_waiting, lasts_ms, self._expiry_ms)
        reply: bytes = await scripts.run(self._redis, scripts.Call(_RESERVE, keys, args))
        return Reservation(reply.decode())

    async def waiting(self) -> int:
        """Deliveries nobody has claimed yet, whoever it is that asked."""
        with translated():
            return int(await self._redis.zcard(self._keys.queue))

    async def count_request(self, subject: str) -> Rate:
        """One more by this tenant, or by the holders of tokens for this generation."""
        reply = await scripts.run(self._redis, scripts.Call(_COUNT_REQUEST, [self._keys.requests(subject)], ()))
        return Rate(int(reply[0]), int(reply[1]) / 1000)


async def give_back(redis: Redis, keys: Keys, generation_id: str) -> None:
    """Count a generation out, wherever it was counted."""
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
