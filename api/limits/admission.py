"""Owns whether a request may be served, and whether a new generation may be created now.

Limits per tenant hold only where callers authenticate: otherwise there is one tenant, and nobody to
protect from it. Redis' memory and the number of waiting generations are checked in any case.
"""

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final, Protocol

from outlive.api.limits.queue_depth import QueueDepth
from outlive.shared.errors import AtCapacity, LimitReached, TooManyGenerations, TooManyRequests, TooMuchStored
from outlive.shared.model.generation import NewGeneration
from outlive.shared.queue.quota import WINDOW_S, Rate, Reservation, TenantLimits, Wanted
from outlive.shared.settings import Settings

_RETRY_FULL_S: Final = 2
"""Answers take seconds, and nobody knows which of a tenant's ends first."""
_RETRY_STORED_S: Final = 60
"""Retentions take minutes to hours."""


class TenantCounts(Protocol):
    """What all API processes count together (`shared/queue/quota.py`). All raise `LogUnavailable`."""

    async def reserve(self, wanted: Wanted, limits: TenantLimits) -> Reservation: ...

    async def waiting(self) -> int: ...

    async def count_request(self, subject: str) -> Rate: ...


class Admission:
    """One per process."""

    def __init__(
        self,
        settings: Settings,
        counts: TenantCounts,
        has_memory: Callable[[], Awaitable[bool]],
        *,
        clock: Callable[[], float],
    ) -> None:
        """`has_memory`: whether Redis has room for something new; `clock` is monotonic, in seconds."""
        self._settings = settings
        self._counts = counts
        self._has_memory = has_memory
        self._limits = TenantLimits(settings.tenant_generations, settings.tenant_stored_bytes, settings.max_queued)
        self._queue_depth = QueueDepth(counts.waiting, max_waiting=settings.max_queued, clock=clock)

    async def count_request(self, subject: str) -> dict[str, str]:
        """Count one request of a tenant, or of the holders of one generation's tokens. Returns the headers
        that say how many are left. Raises `TooManyRequests` and `LogUnavailable`."""
        if not self._settings.auth:
            return {}
        rate = await self._counts.count_request(subject)
        headers = ratelimit_headers(rate, self._settings.tenant_requests)
        if rate.asked > self._settings.tenant_requests:
            raise TooManyRequests(retry_after_s=ceil(rate.left_s), headers=headers)
        return headers

    async def reserve(self, new: NewGeneration) -> Reservation:
        """One of the tenant's generations at a time, for what is about to be created. When the reply is FULL or
        STORED the caller refuses (`tenant_full`), unless the generation exists already. Raises `AtCapacity` and
        `LogUnavailable`."""
        if not await self._has_memory():
            raise AtCapacity
        if not self._settings.auth:
            if not await self._queue_depth.admits():
                raise AtCapacity
            return Reservation.HELD
        size_bytes = len(new.request) + len(new.metadata)
        wanted = Wanted(new.id, new.tenant, new.deadline_s, new.retention_s, size_bytes)
        reservation = await self._counts.reserve(wanted, self._limits)
        if reservation is Reservation.BACKLOG:
            raise AtCapacity
        return reservation

    def tenant_full(self, reservation: Reservation) -> LimitReached:
        """The refusal where the tenant has as many generations as it may, or as many bytes."""
        if reservation is Reservation.STORED:
            return TooMuchStored(retry_after_s=_RETRY_STORED_S)
        return TooManyGenerations(retry_after_s=_RETRY_FULL_S)


def ratelimit_headers(rate: Rate, max_requests: int) -> dict[str, str]:
    """The headers of draft-ietf-httpapi-ratelimit-headers."""
    left = max(0, max_requests - rate.asked)
    return {
        "RateLimit-Policy": f'"requests";q={max_requests};w={WINDOW_S}',
        "RateLimit": f'"requests";r={left};t={ceil(rate.left_s)}',
    }
