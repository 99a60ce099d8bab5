"""Owns one page of the list as it is answered: places from the index, states from each meta.

Decides which to leave out (another status, gone) and how far one request may look for them.
"""

from typing import Final

from outlive.api.schemas import Listed, Page, StatusName
from outlive.shared.log.listing import Listing, ListPosition
from outlive.shared.log.reader import LogReader
from outlive.shared.model.codec import decode_json
from outlive.shared.model.generation import Meta

_MAX_LOOKED_AT: Final = 1_000
"""Per request, so that a rare status costs Redis a bounded time; the page is then short, and goes on."""


async def page_of(
    listing: Listing,
    reader: LogReader,
    tenant: str,
    *,
    status: StatusName | None,
    limit: int,
    before: ListPosition | None,
) -> Page:
    """Up to `limit` of a tenant's generations. Raises `LogUnavailable`."""
    found: list[Listed] = []
    looked_at = 0
    while len(found) < limit and looked_at < _MAX_LOOKED_AT:
        places = await listing.page(tenant, before, limit)
        looked_at += len(places)
        metas = await reader.metas([place.id for place in places])
        for place, meta in zip(places, metas, strict=True):
            before = place
            if isinstance(meta, Meta) and status in (None, meta.status):
                found.append(_listed(place.id, meta))
                if len(found) == limit:
                    break
        if len(places) < limit and (not places or before == places[-1]):
            return Page(generations=found, next=None)
    return Page(generations=found, next=str(before))


def _listed(generation_id: str, meta: Meta) -> Listed:
    return Listed(
        id=generation_id,
        status=meta.status.value,
        model=meta.model,
        attempt=meta.attempt,
        metadata=decode_json(meta.metadata),
        created_at=meta.created_at,
        started_at=meta.started_at,
        finished_at=meta.finished_at,
    )
