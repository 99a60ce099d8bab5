"""Clients nobody here wrote: they stream, are cut, resume by `Last-Event-ID`, and stop at 204."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import pytest
from httpx_sse import SSEError, aconnect_sse

from tests.support import node
from tests.support.invariants import check_invariants
from tests.support.road import Habits, proxy
from tests.support.sse import Parser
from tests.support.stack import Stack, demo
from tests.support.told import transcript_of

pytestmark = pytest.mark.anyio

Events = list[dict[str, Any]]


async def by_eventsource(url: str) -> Events:
    told: Events = await node.run("others.mjs", {"client": "eventsource", "url": url})
    return told


async def by_fetch_event_source(url: str) -> Events:
    told: Events = await node.run("others.mjs", {"client": "fetch-event-source", "url": url})
    return told


async def by_httpx_sse(url: str) -> Events:
    """It leaves reconnecting to its user; this is the loop of its manual."""
    told: Events = []
    async with httpx.AsyncClient(timeout=20) as client:
        while True:
            headers = {"Last-Event-ID": told[-1]["id"]} if told else {}
            async with aconnect_sse(client, "GET", url, headers=headers) as source:
                if source.response.status_code == httpx.codes.NO_CONTENT:
                    return told
                try:
                    # It tells of a lone `retry:` as well, as an event without data.
                    async for event in source.aiter_sse():
                        if event.data:
                            told.append({"id": event.id, "type": event.event, "data": event.json()})
                except (httpx.TransportError, SSEError):
                    continue


async def by_curl(url: str) -> Events:
    """As in README: the bytes as they come, and the last id in a header."""
    told: Events = []
    while True:
        resume = ["-H", f"Last-Event-ID: {told[-1]['id']}"] if told else []
        command = ["curl", "-sN", "--max-time", "20", "-w", "\n: %{http_code}\n", *resume, url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        body, _, status = out.rpartition(b"\n: ")
        if int(status) == httpx.codes.NO_CONTENT:
            return told
        told += [{"id": f.id, "type": f.event, "data": json.loads(f.text)} for f in Parser().feed(body)]


CLIENTS: Final[dict[str, Callable[[str], Awaitable[Events]]]] = {
    "eventsource": by_eventsource,
    "fetch-event-source": by_fetch_event_source,
    "httpx-sse": by_httpx_sse,
    "curl": by_curl,
}


@pytest.mark.rule("R20")
@pytest.mark.parametrize("name", CLIENTS)
async def test_it_streams_is_cut_resumes_and_stops(stack: Stack, name: str) -> None:
    """Cut several times, it tells every event of the log once; after the terminal it asks once more and is told 204.

    `fetch-event-source` takes an id for seen as soon as it has read its line, whole frame or not, and so
    would lose an event that is cut in the middle. It is cut between frames; the others are cut anywhere.
    """
    generation_id = await stack.create(demo(pace_s=0.01, tokens=120, reasoning=5))
    cuts = Habits(cut_after=(1_500, 3_000), cut_frames=name != "fetch-event-source", retry_ms=20)
    async with proxy(stack.urls[1], cuts, seed=len(name)) as road:
        told = await CLIENTS[name](f"{road.url}/v1/generations/{generation_id}/events")
    snapshot = await stack.snapshot(generation_id)

    check_invariants([transcript_of(generation_id, name, told)], snapshot)
    assert told[-1]["id"] == snapshot["cursor"]
    assert len(road.resumed) == len(road.paths) - 1 >= 2
    assert set(road.resumed) <= {event["id"] for event in told}
    assert road.statuses == [200] * (len(road.paths) - 1) + [204]
