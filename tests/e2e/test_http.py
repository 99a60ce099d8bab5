"""The HTTP surface as documented: statuses, fields, headers, and the response to each mistake."""

from typing import Any

import pytest

from tests.support.problem_responses import check_problem
from tests.support.raw_http import Ended, request
from tests.support.sse import EventStream, Frame, open_events, open_stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

UNKNOWN = "gen_" + "0" * 32
SNAPSHOT_FIELDS = {
    *("id", "status", "attempt", "cursor", "text", "reasoning", "tool_calls", "tool_results", "usage"),
    *("finish_reason", "error", "viewers", "created_at", "started_at", "finished_at"),
}


def at(stack: Stack, path: str, api: int = 0) -> str:
    """A path as an address."""
    return stack.urls[api] + path


async def frames_of(stream: EventStream) -> list[Frame]:
    """All frames of a stream that ends by itself."""
    return [frame async for frame in stream]


# -- Snapshot and stream ---------------------------------------------------------------------------


async def test_a_snapshot_has_every_documented_field(stack: Stack, finished: str) -> None:
    """Unknown fields are null, not missing."""
    snapshot = await stack.snapshot(finished)

    assert set(snapshot) >= SNAPSHOT_FIELDS
    assert snapshot["id"] == finished
    assert snapshot["status"] == "completed"
    assert snapshot["attempt"] == 1
    assert snapshot["finish_reason"] == "stop"
    assert snapshot["error"] is None
    assert snapshot["usage"]["completion_tokens"] == 5
    assert snapshot["created_at"] <= snapshot["started_at"] <= snapshot["finished_at"]


async def test_the_stream_has_the_headers_proxies_need(stack: Stack, finished: str) -> None:
    """No proxy may store, transform or buffer it."""
    async with open_events(stack.urls[0], finished) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        await frames_of(stream)
        assert stream.retry_ms is not None


@pytest.mark.parametrize("by", ["header", "query"])
@pytest.mark.parametrize("start", ["", "-1", "0", "0-0"])
async def test_what_libraries_send_for_the_start_is_the_start(stack: Stack, finished: str, start: str, by: Any) -> None:
    """Empty, minus one and zero all mean: from the beginning."""
    async with open_events(stack.urls[0], finished, after=start, by=by, fold=False) as stream:
        frames = await frames_of(stream)
    assert [frame.id for frame in frames] == [entry_id for entry_id, _, _ in await stack.log(finished)]


async def test_the_header_wins_over_the_query(stack: Stack, finished: str) -> None:
    """A browser reconnects to its first address; the header says how far it came."""
    ids = [entry_id for entry_id, _, _ in await stack.log(finished)]
    url = at(stack, f"/v1/generations/{finished}/events?after={ids[0]}&fold=false")
    async with open_stream("GET", url, headers=[("Last-Event-ID", ids[3])]) as stream:
        frames = await frames_of(stream)
    assert [frame.id for frame in frames] == ids[4:]


@pytest.mark.rule("R20")
@pytest.mark.parametrize("by", ["header", "query"])
async def test_at_the_terminal_there_is_nothing_more(stack: Stack, finished: str, by: Any) -> None:
    """204, after which the EventSource of a browser does not come back."""
    snapshot = await stack.snapshot(finished)
    for url in stack.urls:
        async with open_events(url, finished, after=snapshot["cursor"], by=by) as stream:
            assert stream.status == 204
            assert await frames_of(stream) == []


# -- What is not there -----------------------------------------------------------------------------


@pytest.mark.rule("R20")
@pytest.mark.parametrize("unknown", [UNKNOWN, "gen_x", "x", "%00", "gen_" + "f" * 4_000, "%7B07%7D", "*"])
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")])
async def test_what_is_unknown_is_not_found(stack: Stack, method: str, rest: str, unknown: str) -> None:
    """404 for each verb, whatever the id looks like."""
    answer = await request(method, at(stack, f"/v1/generations/{unknown}{rest}"))
    check_problem(answer, 404, "not_found")


async def test_an_unknown_path_is_not_found(stack: Stack) -> None:
    """In the format of every other error."""
    check_problem(await request("GET", at(stack, "/v1/nothing")), 404, "not_found")


@pytest.mark.rule("R19")
async def test_what_was_deleted_is_gone(stack: Stack) -> None:
    """204, and from then on 410 on every process; only the tombstone is left in Redis."""
    generation_id = await stack.create(QUICK)
    cursor = (await stack.closed(generation_id))["cursor"]
    own = f"/v1/generations/{generation_id}"
    deleted = await request("DELETE", at(stack, own))

    assert deleted.status == 204
    assert deleted.body == b""
    for api in (0, 1):
        check_problem(await request("GET", at(stack, own, api)), 410, "gone")
        check_problem(await request("GET", at(stack, f"{own}/events", api)), 410, "gone")
        check_problem(await request("GET", at(stack, f"{own}/events?after={cursor}", api)), 410, "gone")
        check_problem(await request("POST", at(stack, f"{own}/cancel", api)), 410, "gone")
    assert await stack.log(generation_id) == []


@pytest.mark.rule("R19")
async def test_deleting_what_runs_ends_it_for_viewers_and_provider(stack: Stack) -> None:
    """Open streams end cleanly on both processes; a late worker cannot bring it back."""
    model = demo(pace_s=0.01, tokens=1_000_000, seed=unique())
    generation_id = await stack.create(model)
    async with (
        open_events(stack.urls[0], generation_id) as one,
        open_events(stack.urls[1], generation_id) as two,
    ):
        for stream in (one, two):
            async for frame in stream:
                if frame.event == "token":
                    break
        deleted = await request("DELETE", at(stack, f"/v1/generations/{generation_id}"))
        assert deleted.status == 204
        for stream in (one, two):
            await frames_of(stream)
            assert stream.ended is Ended.CLEAN
    viewer = Viewer(generation_id, stack.urls)
    await viewer.follow()

    assert viewer.gone
    assert await stack.log(generation_id) == []


@pytest.mark.rule("R19")
async def test_a_key_of_something_deleted_does_not_bring_it_back(stack: Stack) -> None:
    """The id is derived from the key, and that id is gone."""
    headers = [("Idempotency-Key", unique())]
    made = await stack.post(chat(QUICK), headers=headers)
    await stack.closed(made.json()["id"])
    await request("DELETE", at(stack, made.headers["location"]))

    check_problem(await stack.post(chat(QUICK), headers=headers), 410, "gone")


# -- The rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_and_readiness_answer(stack: Stack, path: str) -> None:
    """200 on each process while all is well."""
    for api in (0, 1):
        assert (await request("GET", at(stack, path, api))).status == 200


@pytest.mark.rule("R20")
async def test_without_redis_it_lives_and_is_not_ready() -> None:
    """Liveness is about the process, readiness about its Redis. A resuming viewer never gets an error status."""
    async with Stack(workers=0) as stack:
        generation_id = await stack.create(QUICK)
        stack.redis.kill()
        ready = await request("GET", at(stack, "/readyz"))
        assert (await request("GET", at(stack, "/healthz"))).status == 200
        check_problem(ready, 503)
        async with open_events(stack.urls[0], generation_id) as stream:
            assert stream.status == 200
            assert await frames_of(stream) == []
            assert stream.retry_ms is not None
            assert stream.ended is Ended.CLEAN
        await stack.redis.start()
        await stack.apis[0].ready()
        assert (await stack.snapshot(generation_id))["status"] == "queued"


async def test_the_page_is_served(stack: Stack) -> None:
    """At `/`, as HTML."""
    answer = await request("GET", at(stack, "/"))
    assert answer.status == 200
    assert answer.headers["content-type"].partition(";")[0] == "text/html"


async def test_openapi_documents_every_path_and_the_stream(stack: Stack) -> None:
    """The document has every route that the API serves."""
    document = (await request("GET", at(stack, "/openapi.json"))).json()
    own = "/v1/generations/{generation_id}"

    assert {"/v1/generations", own, f"{own}/events", f"{own}/cancel", "/healthz", "/readyz"} <= set(document["paths"])
    assert {"get", "delete"} <= set(document["paths"][own])
    content = document["paths"][f"{own}/events"]["get"]["responses"]["200"]["content"]
    assert "text/event-stream" in content
