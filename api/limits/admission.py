"""Owns whether a request may be served, and whether a new generation may be created now.

Limits per tenant hold only where callers authenticate: otherwise there is one tenant, and nobody to
protect from it. Redis' memory and the number of waiting generations are checked in any case.
"""

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final, Protocol

from outlive.api.limits.queue_depth import QueueDepth
from outlive.shared.errors import AtCapacity, TooManyGenerations, TooManyRequests
from outlive.shared.model.generation import NewGeneration
from outlive.shared.queue.quota import WINDOW_S, Rate, Reservation
from outlive.shared.settings import Settings

_RETRY_FULL_S: Final = 2
"""Answers take seconds, and nobody knows which of a tenant's ends first."""


class TenantCounts(Protocol):
    """What all API processes count together (`shared/queue/quota.py`). All raise `LogUnavailable`."""

    async def reserve(
        self, generation_id: str, tenant: str, *, max_active: int, max_waiting: int, lasts_s: float
    ) -> Reservation: ...

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
        """One of the tenant's generations at a time, for what is about to be created. When the reply is FULL
        the caller refuses (`tenant_full`), unless the generation exists already. Raises `AtCapacity` and
        `LogUnavailable`."""
        if not await self._has_memory():
            raise AtCapacity
        if not self._settings.auth:
            if not await self._queue_depth.admits():
                raise AtCapacity
            return Reservation.HELD
        reservation = await self._counts.reserve(
            new.id,
            new.tenant,
            max_active=self._settings.tenant_generations,
            max_waiting=self._settings.max_queued,
            lasts_s=new.deadline_s,
        )
        if reservation is Reservation.BACKLOG:
            raise AtCapacity
        return reservation

    def tenant_full(self) -> TooManyGenerations:
        """The refusal where the tenant has as many generations as it may."""
        return TooManyGenerations(retry_after_s=_RETRY_FULL_S)


def ratelimit_headers(rate: Rate, max_requests: int) -> dict[str, str]:
    """The headers of draft-ietf-httpapi-ratelimit-headers."""
    left = max(0, max_requests - rate.asked)
    return {
        "RateLimit-Policy": f'"requests";q={max_requests};w={WINDOW_S}',
        "RateLimit": f'"requests";r={left};t={ceil(rate.left_s)}',
    }
