"""Owns one page of a tenant's list: positions from the index, states from each generation's meta.

Decides which generations are left out (another status, gone) and how far one request may search.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from outlive.api.schemas import Listed, Page, StatusName
from outlive.shared.log.listing import ListPosition
from outlive.shared.model.codec import decode_json
from outlive.shared.model.generation import Meta

_MAX_CHECKED: Final = 1_000
"""Positions per request, so that a rare status costs Redis a bounded time. The page is then short, and has a
`next`."""

ReadPositions = Callable[[str, ListPosition | None, int], Awaitable[Sequence[ListPosition]]]
"""`Listing.page`: up to so many positions of a tenant before one, newest first."""
ReadMetas = Callable[[Sequence[str]], Awaitable[Sequence[Meta | str | None]]]
"""`LogReader.metas`: the meta of each generation that is neither unknown nor gone."""


async def read_page(
    positions_of: ReadPositions,
    metas_of: ReadMetas,
    tenant: str,
    *,
    status: StatusName | None,
    limit: int,
    before: ListPosition | None,
) -> Page:
    """Up to `limit` of a tenant's generations. Raises `LogUnavailable`."""
    listed: list[Listed] = []
    checked = 0
    while len(listed) < limit and checked < _MAX_CHECKED:
        positions = await positions_of(tenant, before, limit)
        checked += len(positions)
        metas = await metas_of([position.id for position in positions])
        for position, meta in zip(positions, metas, strict=True):
            before = position
            if isinstance(meta, Meta) and status in (None, meta.status):
                listed.append(_listed(position.id, meta))
                if len(listed) == limit:
                    break
        if len(positions) < limit and (not positions or before == positions[-1]):
            return Page(generations=listed, next=None)
    return Page(generations=listed, next=str(before))


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
