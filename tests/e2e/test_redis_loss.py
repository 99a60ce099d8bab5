"""Redis dies and comes back: attempts go on, viewers continue, and nothing is lost or doubled."""

import asyncio

import pytest

from tests.support.invariants import check_invariants
from tests.support.raw_http import request
from tests.support.stack import Stack, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


# `make test` covers this in the chaos suite, with a shorter run.
@pytest.mark.long
@pytest.mark.rule("R7")
async def test_a_restart_of_redis_loses_nothing_that_was_acknowledged() -> None:
    """Twenty answers under way, one attempt each, also after the restart; all viewers agree."""
    async with Stack(workers=2, apis=2) as stack:
        model = demo(pace_s=0.01, tokens=300)
        ids = [await stack.create(model, seed=i) for i in range(20)]
        viewers = [Viewer(one, stack.urls, seed=i, fold=False) for one in ids for i in (1, 2)]
        watching = [asyncio.create_task(viewer.follow()) for viewer in viewers]

        async def all_speak() -> bool:
            return all("token" in {f.event for f in viewer.transcript.frames} for viewer in viewers)

        await until(all_speak, 20, "text in every viewer")
        stack.redis.kill()
        await stack.redis.start()
        transcripts = await asyncio.gather(*watching)

        for one in ids:
            snapshot = await stack.closed(one)
            seen = [t for t in transcripts if t.generation_id == one]
            check_invariants(seen, snapshot, await stack.log(one))
            assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)


@pytest.mark.rule("R20")
async def test_with_redis_away_a_viewer_is_told_to_come_back() -> None:
    """Never with an error status: a native EventSource would give up for good."""
    async with Stack() as stack:
        generation_id = await stack.create(demo(pace_s=0, tokens=5))
        await stack.closed(generation_id)
        stack.redis.kill()
        answer = await request("GET", f"{stack.urls[0]}/v1/generations/{generation_id}/events", within_s=20)
        ready = await request("GET", f"{stack.urls[0]}/readyz", within_s=20)
        await stack.redis.start()
        transcript = await Viewer(generation_id, stack.urls).follow()

        assert answer.status == 200
        assert answer.body.startswith(b"retry: ")
        assert b"data:" not in answer.body
        assert ready.status == 503
        check_invariants([transcript], await stack.snapshot(generation_id))
