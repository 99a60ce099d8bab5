"""The client that PROTOCOL.md shows, run as it stands there: it is cut, resumes, and has the whole log."""

import asyncio
import json
import re
import sys
from typing import Any, Final

import pytest

from tests.support.client_reports import reencoded, transcript_of
from tests.support.invariants import check_invariants
from tests.support.javascript import output
from tests.support.processes import ROOT
from tests.support.sse_fault_proxy import StreamFaults, error_response, sse_fault_proxy
from tests.support.stack import Stack, demo

pytestmark = pytest.mark.anyio

CODE: Final = re.findall(r"^```python\n(.*?)^```$", (ROOT / "shared/PROTOCOL.md").read_text(), re.DOTALL | re.MULTILINE)


async def watched_by_the_protocols_client(url: str) -> list[dict[str, Any]]:
    """The frames it prints, in order."""
    (code,) = CODE
    printed = await output([sys.executable, "-c", code, url])
    return [dict(zip(("id", "type", "data"), json.loads(line), strict=True)) for line in printed.splitlines()]


def test_it_fits_on_a_page() -> None:
    """A reader shall copy it, not install it."""
    (code,) = CODE
    assert len(code.splitlines()) < 50


@pytest.mark.rule("R8", "R20")
async def test_the_protocols_client_is_cut_resumes_and_has_the_whole_log(stack: Stack) -> None:
    """Cut inside frames, refused by a status that may pass: each event of the log once, in order, to the terminal."""
    generation_id = await stack.create(demo(pace_s=0.01, tokens=150, reasoning=10, tools=1))
    faults = StreamFaults(
        cut_after=(1_000, 3_000),
        pieces=(1, 700),
        retry_ms=20,
        first_responses=[error_response(502, "<html>", "Retry-After: 0")],
    )
    async with sse_fault_proxy(stack.urls[1], faults, seed=4) as proxy:
        frames = await watched_by_the_protocols_client(f"{proxy.url}/v1/generations/{generation_id}/events")
    log = await stack.log(generation_id)

    check_invariants(
        [transcript_of(generation_id, "PROTOCOL.md", frames)], await stack.snapshot(generation_id), reencoded(log)
    )
    assert frames[-1]["id"] == log[-1][0]
    assert len(proxy.last_event_ids) >= 3
    assert set(proxy.last_event_ids) <= {frame["id"] for frame in frames} | {""}


async def test_the_protocols_client_forgets_its_cursor_at_a_reset(stack: Stack) -> None:
    """A stream of another log, which breaks off: the server says `reset`, and everything follows."""
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    await stack.closed(generation_id)
    other = 'retry: 5\n\nid: 5-0\nevent: queued\ndata: {"id":"other"}\n\nid: 6-0\nevent: attempt\ndata: {}\n\n'
    faults = StreamFaults(first_responses=[error_response(200, other, "Content-Type: text/event-stream")])
    async with sse_fault_proxy(stack.urls[0], faults) as proxy:
        async with asyncio.timeout(20):
            frames = await watched_by_the_protocols_client(f"{proxy.url}/v1/generations/{generation_id}/events")

    assert [frame["type"] for frame in frames[:4]] == ["queued", "attempt", "reset", "queued"]
    check_invariants([transcript_of(generation_id, "PROTOCOL.md", frames[3:])], await stack.snapshot(generation_id))
    assert proxy.last_event_ids[-1] == "6-0"
