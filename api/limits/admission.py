"""Owns the limits on callers: whether a request may be served, and a new generation made, now.

Limits per tenant hold where callers say who they are; without, there are no tenants to protect from
each other. That Redis has room, and that not too much waits, is asked in any case.
"""

from math import ceil
from typing import Final

from outlive.api.limits.queue_depth import QueueDepth
from outlive.shared.errors import AtCapacity, TooManyGenerations, TooManyRequests
from outlive.shared.model.generation import NewGeneration
from outlive.shared.queue.quota import WINDOW_S, Quota, Rate, Reservation
from outlive.shared.settings import Settings
from outlive.shared.store.memory_headroom import MemoryHeadroom

_PLACE_RETRY_S: Final = 2
"""Answers take seconds; nobody knows when the first of them will be whole."""


class Admission:
    """One per process; the counts are everybody's."""

    def __init__(self, settings: Settings, quota: Quota, room: MemoryHeadroom) -> None:
        self._settings = settings
        self._quota = quota
        self._backlog = QueueDepth(quota.waiting, most=settings.max_queued)
        self._room = room

    async def request(self, subject: str) -> dict[str, str]:
        """Count one; the headers that tell how many are left. Raises `TooManyRequests`."""
        if not self._settings.auth:
            return {}
        rate = await self._quota.count_request(subject)
        headers = told(rate, self._settings.tenant_requests)
        if rate.asked > self._settings.tenant_requests:
            raise TooManyRequests(retry_after_s=ceil(rate.left_s), headers=headers)
        return headers

    async def place(self, new: NewGeneration) -> Reservation:
        """Reserve one for what is about to be made. FULL is for the caller to refuse (`refuse_full`): what
        exists already needs none. Raises `AtCapacity`."""
        if not await self._room.has():
            raise AtCapacity
        if not self._settings.auth:
            if not await self._backlog.admits():
                raise AtCapacity
            return Reservation.HELD
        place = await self._quota.reserve(
            new.id,
            new.tenant,
            max_active=self._settings.tenant_generations,
            max_waiting=self._settings.max_queued,
            lasts_s=new.deadline_s,
        )
        if place is Reservation.BACKLOG:
            raise AtCapacity
        return place

    def refuse_full(self) -> TooManyGenerations:
        return TooManyGenerations(retry_after_s=_PLACE_RETRY_S)


def told(rate: Rate, most: int) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers has it."""
    left = max(0, most - rate.asked)
    return {
        "RateLimit-Policy": f'"requests";q={most};w={WINDOW_S}',
        "RateLimit": f'"requests";r={left};t={ceil(rate.left_s)}',
    }
