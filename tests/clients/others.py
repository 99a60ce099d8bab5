"""Owns the clients of others: each follows a generation as its own manual says, and reports its events."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from httpx_sse import SSEError, aconnect_sse

from tests.support import javascript
from tests.support.sse import Parser

Events = list[dict[str, Any]]


async def by_eventsource(url: str) -> Events:
    events: Events = await javascript.run("others.mjs", {"client": "eventsource", "url": url})
    return events


async def by_fetch_event_source(url: str) -> Events:
    events: Events = await javascript.run("others.mjs", {"client": "fetch-event-source", "url": url})
    return events


async def by_httpx_sse(url: str) -> Events:
    """It leaves reconnecting to its user; this is the loop of its manual."""
    events: Events = []
    async with httpx.AsyncClient(timeout=20) as client:
        while True:
            headers = {"Last-Event-ID": events[-1]["id"]} if events else {}
            async with aconnect_sse(client, "GET", url, headers=headers) as source:
                if source.response.status_code == httpx.codes.NO_CONTENT:
                    return events
                try:
                    # It also reports a lone `retry:`, as an event without data.
                    async for event in source.aiter_sse():
                        if event.data:
                            events.append({"id": event.id, "type": event.event, "data": event.json()})
                except (httpx.TransportError, SSEError):
                    continue


async def by_curl(url: str) -> Events:
    """As in the documentation: the bytes as they come, and the last id in a header."""
    events: Events = []
    while True:
        resume = ["-H", f"Last-Event-ID: {events[-1]['id']}"] if events else []
        command = ["curl", "-sN", "--max-time", "20", "-w", "\n: %{http_code}\n", *resume, url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        body, _, status = out.rpartition(b"\n: ")
        if int(status) == httpx.codes.NO_CONTENT:
            return events
        events += [{"id": f.id, "type": f.event, "data": json.loads(f.text)} for f in Parser().feed(body)]


CLIENTS: Final[dict[str, Callable[[str], Awaitable[Events]]]] = {
    "eventsource": by_eventsource,
    "fetch-event-source": by_fetch_event_source,
    "httpx-sse": by_httpx_sse,
    "curl": by_curl,
}
