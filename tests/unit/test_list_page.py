"""Which generations are on a page, and how far one request searches."""

from collections.abc import Sequence

import pytest

from outlive.api.generations.list_page import read_page
from outlive.api.schemas import Page, StatusName
from outlive.shared.log.listing import ListPosition
from outlive.shared.model.cursor import START
from outlive.shared.model.generation import Meta, Status
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio


def meta(status: Status) -> Meta:
    return Meta("acme", status, "m", START, 1, None, b"{}", 1.0, None, None)


class Index:
    """A tenant's generations, oldest first."""

    def __init__(self, *states: Status | None) -> None:
        """None is one that is gone."""
        self.positions = [ListPosition(n, fresh_id()) for n in range(len(states))]
        self.states = dict(zip((position.id for position in self.positions), states, strict=True))
        self.checked = 0

    async def page(self, tenant: str, before: ListPosition | None, count: int) -> list[ListPosition]:
        older = [position for position in self.positions if before is None or position < before]
        return sorted(older, reverse=True)[:count]

    async def metas(self, ids: Sequence[str]) -> list[Meta | str | None]:
        self.checked += len(ids)
        return [meta(state) if (state := self.states[each]) else "acme" for each in ids]

    async def read(self, limit: int, status: StatusName | None = None, before: str | None = None) -> Page:
        position = ListPosition.parse(before) if before else None
        return await read_page(self.page, self.metas, "acme", status=status, limit=limit, before=position)

    async def all(self, limit: int, status: StatusName | None = None) -> list[str]:
        """The ids of all pages, one behind the other."""
        ids: list[str] = []
        after: str | None = None
        while True:
            page = await self.read(limit, status, after)
            ids += [listed["id"] for listed in page["generations"]]
            after = page["next"]
            if after is None:
                return ids

    def newest_first(self, *states: Status) -> list[str]:
        return [position.id for position in reversed(self.positions) if self.states[position.id] in states]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_make_the_whole_list(limit: int) -> None:
    """Newest first, each once, without those that are gone."""
    index = Index(Status.QUEUED, None, Status.RUNNING, None, None, Status.FAILED, Status.COMPLETED)
    assert await index.all(limit) == index.newest_first(*Status)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_status_picks_its_own(limit: int) -> None:
    """Also where others lie between."""
    index = Index(*[Status.COMPLETED, Status.FAILED, Status.FAILED] * 5)
    assert await index.all(limit, "completed") == index.newest_first(Status.COMPLETED)


async def test_a_list_that_ends_with_the_page_has_no_next() -> None:
    """Or one empty page would follow."""
    index = Index(Status.QUEUED)
    assert (await index.read(2))["next"] is None
    assert await Index().read(2) == Page(generations=[], next=None)


async def test_one_request_searches_a_bounded_distance() -> None:
    """The page is then empty, and goes on."""
    index = Index(Status.FAILED, *[Status.COMPLETED] * 2_500)
    page = await index.read(100, "failed")
    assert page["generations"] == []
    assert index.checked == 1_000
    assert await index.all(100, "failed") == index.newest_first(Status.FAILED)
