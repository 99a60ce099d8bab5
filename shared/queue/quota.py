"""Owns the counts of one tenant's generations, bytes and requests, on the queue plane for all API processes.

The API makes a reservation before it creates a generation. It lasts for `hold_s`; `Queue.enqueue` prolongs it to the
generation's deadline, and `Queue.leave` gives it back when the generation is closed. With it the bytes of the request
are counted, until its retention ends. Decides no limits. Raises `LogUnavailable`.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from redis.asyncio import Redis

from outlive.shared.store import scripts
from outlive.shared.store.connect import replies_of, translated
from outlive.shared.store.keyspace import Keys

_RESERVE: Final = scripts.load("reserve", on_log=False)
_LEAVE: Final = scripts.load("leave", on_log=False, allow_oom=True)
_COUNT_REQUEST: Final = scripts.load("count_request", on_log=False, allow_oom=True)

_SLACK_S: Final = 10.0
"""A reservation outlives the deadline a little, until the sweep has ended its generation."""

_GENERATION_BYTES: Final = 2048
"""What a generation takes in Redis beside its request and its events: meta, index, the ends of its stream."""

WINDOW_S: Final = 60
"""Length of a minute, as `lua/count_request.lua` counts it."""


class Reservation(StrEnum):
    """Result of asking for a reservation."""

    NEW = "NEW"
    HELD = "HELD"
    """This generation has one already."""
    FULL = "FULL"
    """The tenant has as many as they may have."""
    STORED = "STORED"
    """The tenant's requests and answers take as many bytes as they may."""
    BACKLOG = "BACKLOG"
    """Too many deliveries of all tenants wait for a worker."""


class Wanted(NamedTuple):
    """The generation that a reservation is for."""

    generation_id: str
    tenant: str
    deadline_s: float
    retention_s: float
    request_bytes: int


class TenantLimits(NamedTuple):
    """What one tenant may have, and how many deliveries of all may wait."""

    generations: int
    stored_bytes: int
    waiting: int


class Rate(NamedTuple):
    """Requests within the current minute, which ends in `left_s`."""

    asked: int
    left_s: float


class Quota:
    """The counts of all tenants of one Outlive."""

    def __init__(
        self, redis: Redis, keys: Keys, *, hold_s: float, max_deadline_s: float, max_retention_s: float
    ) -> None:
        """`hold_s`: how long a reservation lasts before its generation is enqueued."""
        self._redis = redis
        self._keys = keys
        self._hold_ms = _ms(hold_s)
        self._holder_ms = _ms(max_deadline_s + _SLACK_S)
        self._stored_ms = _ms(max_deadline_s + _SLACK_S + max_retention_s)

    async def reserve(self, wanted: Wanted, limits: TenantLimits) -> Reservation:
        """Reserve one of the tenant's generations, and the bytes of its request."""
        tenant = wanted.tenant
        keys = [
            self._keys.active_of(tenant), self._keys.holder(wanted.generation_id), self._keys.queue,
            self._keys.stored(tenant), self._keys.stored_bytes(tenant),
        ]  # fmt: skip
        args = (
            wanted.generation_id, tenant, limits.generations, limits.waiting,
            wanted.request_bytes + _GENERATION_BYTES, limits.stored_bytes,
            self._hold_ms, _ms(wanted.deadline_s + _SLACK_S), _ms(wanted.retention_s), self._holder_ms, self._stored_ms,
        )  # fmt: skip
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


async def holder_of(redis: Redis, keys: Keys, generation_id: str) -> str | None:
    """The tenant whose reservation a generation holds, or held until a minute ago."""
    with translated():
        async with redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.holder(generation_id), "tenant")
            (tenant,) = await replies_of(pipe)
    return None if tenant is None else tenant.decode()


async def give_back(redis: Redis, keys: Keys, generation_id: str, *, log_bytes: int, kept_s: float | None) -> None:
    """Remove a generation from the active ones, and from its tenant's reservations. Its bytes, with those of its log,
    count for its retention, or for `kept_s` if that is shorter."""
    with translated():
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.active, generation_id)
            pipe.hget(keys.holder(generation_id), "tenant")
            _, tenant = await replies_of(pipe)
    if tenant is not None:
        name = tenant.decode()
        args = (generation_id, log_bytes, "" if kept_s is None else _ms(kept_s))
        call = [keys.active_of(name), keys.holder(generation_id), keys.stored(name), keys.stored_bytes(name)]
        await scripts.run(redis, scripts.Call(_LEAVE, call, args))


async def forget_stored(redis: Redis, keys: Keys, generation_id: str, tenant: str) -> None:
    """Count the bytes of a generation no more, because it is deleted."""
    with translated():
        await redis.zadd(keys.stored(tenant), {generation_id: 0}, xx=True, lt=True)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
