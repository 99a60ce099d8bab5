"""Our client on a bad connection: whatever happens to it, the caller gets each event once, in order."""

from typing import Any

import pytest

from tests.support import javascript
from tests.support.client_reports import transcript_of
from tests.support.invariants import check_invariants
from tests.support.sse_fault_proxy import StreamFaults, error_response, sse_fault_proxy
from tests.support.stack import Stack, demo, unique
from tests.support.transcript import whole

pytestmark = pytest.mark.anyio


async def check_follows(
    stack: Stack, faults: StreamFaults, seed: int = 0, model: str | None = None, **given: Any
) -> dict[str, Any]:
    """Watch one answer through a proxy with these faults, and check everything."""
    generation_id = await stack.create(model or demo(pace_s=0.003, tokens=150, reasoning=5))
    async with sse_fault_proxy(stack.urls[0], faults, seed) as proxy:
        report: dict[str, Any] = await javascript.run("watch.mjs", {"url": proxy.url, "id": generation_id, **given})
        report["paths"] = proxy.paths
    snapshot = await stack.snapshot(generation_id)
    transcript = transcript_of(generation_id, "our client", report["events"])
    check_invariants([transcript], snapshot)
    assert report["refused"] is None
    assert whole(report["answer"]["text"]) == snapshot["text"] != ""
    assert report["answer"]["status"] == "completed"
    assert report["states"][-1] == "ended"
    return report


@pytest.mark.rule("R38")
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("seed", range(3))
async def test_bytes_may_come_in_any_shape(stack: Stack, line_end: bytes, seed: int) -> None:
    """Split anywhere, with a mark, comments, `retry`, ids with NUL; by callback and by iteration."""
    faults = StreamFaults(line_end=line_end, bom=True, noise=True, pieces=(1, 40))
    await check_follows(stack, faults, seed, iterate=bool(seed % 2))


@pytest.mark.rule("R38")
@pytest.mark.parametrize("seed", range(4))
async def test_a_connection_cut_again_and_again_costs_nothing(stack: Stack, seed: int) -> None:
    """At any byte, also inside a frame; each connection continues after the last whole event."""
    faults = StreamFaults(noise=True, pieces=(1, 200), cut_after=(300, 2_500), bom=seed % 2 == 0)
    report = await check_follows(stack, faults, seed, model=demo(pace_s=0.015, tokens=150))
    assert len(report["paths"]) > 2
    assert "?after=" not in report["paths"][0]
    ids = {event["id"] for event in report["events"]}
    assert all(path.rpartition("after=")[2] in ids for path in report["paths"][1:] if "after=" in path)


@pytest.mark.rule("R38")
async def test_what_is_in_front_may_refuse_for_a_while(stack: Stack) -> None:
    """502, 503, 429, a login page with 200, an empty response: a native EventSource would give up."""
    first_responses = [
        b"",
        error_response(200, "<html>Log in</html>", "Content-Type: text/html"),
        error_response(502, "<html>Bad gateway</html>", "Content-Type: text/html"),
        error_response(503, "", "Retry-After: 0"),
        error_response(429, "{}", "Content-Type: application/json", "Retry-After: 0"),
    ]
    report = await check_follows(stack, StreamFaults(first_responses=first_responses))
    assert len(report["paths"]) == 6


@pytest.mark.rule("R38")
async def test_a_silent_connection_is_left(stack: Stack) -> None:
    """A proxy or a mobile network may lose a connection without notice to either end."""
    report = await check_follows(stack, StreamFaults(silent_after=900), silenceMs=700)
    assert len(report["paths"]) == 2


@pytest.mark.rule("R38")
async def test_a_finished_answer_is_over_at_once(stack: Stack) -> None:
    """204: the client reports no event and sends no further request."""
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    cursor = (await stack.closed(generation_id))["cursor"]
    async with sse_fault_proxy(stack.urls[0], StreamFaults()) as proxy:
        report = await javascript.run("watch.mjs", {"url": proxy.url, "id": generation_id, "after": cursor})
    assert (report["events"], report["refused"], report["states"][-1]) == ([], None, "ended")
    assert len(proxy.paths) == 1


@pytest.mark.parametrize(
    ("generation_id", "after", "status", "code"),
    [
        ("gen_" + "0" * 32, None, 404, "not_found"),
        ("../x", None, 404, "not_found"),
        (None, "$", 400, "malformed_cursor"),
    ],
)
async def test_a_refusal_for_good_is_told(
    stack: Stack, generation_id: str | None, after: str | None, status: int, code: str
) -> None:
    """With the code of the server, and without a retry."""
    known = generation_id or await stack.create(demo(pace_s=0, tokens=1))
    async with sse_fault_proxy(stack.urls[0], StreamFaults()) as proxy:
        report = await javascript.run("watch.mjs", {"url": proxy.url, "id": known, "after": after})
    assert report["refused"]["name"] == "OutliveError"
    assert (report["refused"]["status"], report["refused"]["code"]) == (status, code)
    assert len(proxy.paths) == 1


async def test_leaving_ends_the_watching_and_not_the_answer(stack: Stack) -> None:
    """Within a second of the signal, on a connection that would have stayed open."""
    generation_id = await stack.create(demo(pace_s=0, gate=unique(), gate_after=3))
    report = await javascript.run(
        "watch.mjs", {"url": stack.urls[0], "id": generation_id, "leaveAfter": 3}, within_s=20
    )
    assert len(report["events"]) == 3
    assert report["refused"] is None
    assert (await stack.snapshot(generation_id))["status"] == "running"


@pytest.mark.rule("R38")
async def test_a_terminal_that_cuts_what_was_seen_is_not_taken(stack: Stack) -> None:
    """It counts as a hole: the client reconnects, is reset, and gets the whole answer."""
    frames = [
        ("5-0", "queued", "{}"),
        ("6-0", "attempt", '{"attempt":1,"reason":"started"}'),
        ("6-1", "token", '{"text":"lost"}'),
        ("7-0", "cancelled", '{"reason":"requested","usage":{},"chars":0,"events":2,"cut":"6-0"}'),
    ]
    body = "".join(f"id: {i}\nevent: {kind}\ndata: {data}\n\n" for i, kind, data in frames)
    faults = StreamFaults(first_responses=[error_response(200, body, "Content-Type: text/event-stream")])
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    await stack.closed(generation_id)
    async with sse_fault_proxy(stack.urls[0], faults) as proxy:
        report = await javascript.run("watch.mjs", {"url": proxy.url, "id": generation_id})

    assert [event["type"] for event in report["events"][:5]] == ["queued", "attempt", "token", "reset", "queued"]
    assert proxy.paths[1].endswith("?after=6-1")
    assert (report["refused"], report["answer"]["status"]) == (None, "completed")
    assert report["answer"]["text"] == (await stack.snapshot(generation_id))["text"]
