"""The list of generations: newest first, in pages that do not change."""

from typing import Any

import pytest

from tests.support.problem_responses import check_problem
from tests.support.raw_http import request
from tests.support.stack import QUICK, Stack, demo, unique

pytestmark = pytest.mark.anyio


async def page(stack: Stack, **query: object) -> dict[str, Any]:
    """One page."""
    asked = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
    answer = await request("GET", f"{stack.urls[0]}/v1/generations?{asked}")
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


async def pages(stack: Stack, **query: object) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    before = None
    while True:
        one = await page(stack, before=before, **query)
        ids += [listed["id"] for listed in one["generations"]]
        before = one["next"]
        if before is None:
            return ids


@pytest.mark.rule("R35")
async def test_pages_show_every_generation_once_newest_first(stack: Stack) -> None:
    """Whatever the page size, and also while generations are created and deleted between two pages."""
    made = [await stack.create(QUICK) for _ in range(7)]
    newest_first = made[::-1]
    older = (await pages(stack, limit=100))[7:]
    for limit in (1, 3, 7, 100):
        assert await pages(stack, limit=limit) == newest_first + older

    first = await page(stack, limit=3)
    await stack.create(QUICK)
    for gone in (newest_first[2], newest_first[4]):
        await request("DELETE", f"{stack.urls[0]}/v1/generations/{gone}")
    second = await page(stack, limit=3, before=first["next"])

    assert [listed["id"] for listed in first["generations"]] == newest_first[:3]
    assert [listed["id"] for listed in second["generations"]] == [newest_first[3], *newest_first[5:], *older][:3]


async def test_a_listed_generation_shows_its_state_and_its_callers_notes(stack: Stack) -> None:
    """The same as its snapshot, without the answer."""
    generation_id = await stack.create(QUICK, metadata={"title": "On the sea"})
    snapshot = await stack.closed(generation_id)
    listed = (await page(stack, limit=1))["generations"][0]

    assert listed == {name: snapshot[name] for name in listed}
    assert listed["metadata"] == {"title": "On the sea"}
    assert "text" not in listed


async def test_a_status_leaves_out_all_others(stack: Stack) -> None:
    """Also page by page."""
    running = [await stack.create(demo(gate=unique(), gate_after=1)) for _ in range(2)]
    completed = [await stack.create(QUICK) for _ in range(3)]
    for generation_id in completed:
        await stack.closed(generation_id)
    cancelled = running.pop()
    await stack.cancel(cancelled)

    assert (await pages(stack, status="completed", limit=2))[:3] == completed[::-1]
    assert (await pages(stack, status="cancelled", limit=2))[:1] == [cancelled]
    assert (await pages(stack, status="running", limit=2))[:1] == running
    assert await pages(stack, status="failed", limit=2) == []


@pytest.mark.parametrize(
    "query", ["before=x", "before=1-gen_x", "before=-1", "limit=0", "limit=101", "status=done", f"before={'9' * 99}-x"]
)
async def test_what_is_no_page_is_refused(stack: Stack, query: str) -> None:
    """400, as for every mistake."""
    check_problem(await request("GET", f"{stack.urls[0]}/v1/generations?{query}"), 400, "bad_request")
