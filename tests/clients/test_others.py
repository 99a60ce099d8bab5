"""Clients of others: they stream, are cut, resume by `Last-Event-ID`, and stop at 204."""

import pytest

from tests.clients.others import CLIENTS
from tests.support.client_reports import transcript_of
from tests.support.invariants import check_invariants
from tests.support.sse_fault_proxy import StreamFaults, sse_fault_proxy
from tests.support.stack import Stack, demo

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R20")
@pytest.mark.parametrize("name", CLIENTS)
async def test_it_streams_is_cut_resumes_and_stops(stack: Stack, name: str) -> None:
    """Cut several times, it tells every event of the log once; after the terminal it asks once more and is told 204.

    `fetch-event-source` takes an id for seen as soon as it has read its line, whole frame or not, and so
    would lose an event that is cut in the middle. It is cut between frames; the others are cut anywhere.
    """
    generation_id = await stack.create(demo(pace_s=0.01, tokens=120, reasoning=5))
    cuts = StreamFaults(cut_after=(1_500, 3_000), cut_frames=name != "fetch-event-source", retry_ms=20)
    async with sse_fault_proxy(stack.urls[1], cuts, seed=len(name)) as proxy:
        events = await CLIENTS[name](f"{proxy.url}/v1/generations/{generation_id}/events")
    snapshot = await stack.snapshot(generation_id)

    check_invariants([transcript_of(generation_id, name, events)], snapshot)
    assert events[-1]["id"] == snapshot["cursor"]
    assert len(proxy.last_event_ids) == len(proxy.paths) - 1 >= 2
    assert set(proxy.last_event_ids) <= {event["id"] for event in events}
    assert proxy.statuses == [200] * (len(proxy.paths) - 1) + [204]
