"""Our client on a bad road: whatever happens to the connection, each event is told once, in order."""

from typing import Any

import pytest

from tests.support import javascript
from tests.support.client_reports import transcript_of
from tests.support.invariants import check_invariants
from tests.support.sse_fault_proxy import StreamFaults, error_response, sse_fault_proxy
from tests.support.stack import Stack, demo, unique
from tests.support.transcript import whole

pytestmark = pytest.mark.anyio


async def follow(
    stack: Stack, faults: StreamFaults, seed: int = 0, model: str | None = None, **given: Any
) -> dict[str, Any]:
    """Watch one answer through a proxy with these faults, and check all that can be checked."""
    generation_id = await stack.create(model or demo(pace_s=0.003, tokens=150, reasoning=5))
    async with sse_fault_proxy(stack.urls[0], faults, seed) as road:
        told: dict[str, Any] = await javascript.run("watch.mjs", {"url": road.url, "id": generation_id, **given})
        told["paths"] = road.paths
    snapshot = await stack.snapshot(generation_id)
    transcript = transcript_of(generation_id, "our client", told["events"])
    check_invariants([transcript], snapshot)
    assert told["refused"] is None
    assert whole(told["answer"]["text"]) == snapshot["text"] != ""
    assert told["answer"]["status"] == "completed"
    assert told["states"][-1] == "ended"
    return told


@pytest.mark.rule("R38")
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("seed", range(3))
async def test_bytes_may_come_in_any_shape(stack: Stack, line_end: bytes, seed: int) -> None:
    """Split anywhere, with a mark, comments, `retry`, ids with NUL; by callback and by iteration."""
    faults = StreamFaults(line_end=line_end, bom=True, noise=True, pieces=(1, 40))
    await follow(stack, faults, seed, iterate=bool(seed % 2))


@pytest.mark.rule("R38")
@pytest.mark.parametrize("seed", range(4))
async def test_a_connection_cut_again_and_again_costs_nothing(stack: Stack, seed: int) -> None:
    """At any byte, in the middle of a frame; each connection goes on after the last whole event."""
    faults = StreamFaults(noise=True, pieces=(1, 200), cut_after=(300, 2_500), bom=seed % 2 == 0)
    told = await follow(stack, faults, seed, model=demo(pace_s=0.015, tokens=150))
    assert len(told["paths"]) > 2
    assert "?after=" not in told["paths"][0]
    ids = {event["id"] for event in told["events"]}
    assert all(path.rpartition("after=")[2] in ids for path in told["paths"][1:] if "after=" in path)


@pytest.mark.rule("R38")
async def test_what_is_in_front_may_refuse_for_a_while(stack: Stack) -> None:
    """502, 503, 429, a login page with 200, an empty answer: a native EventSource would have given up."""
    first_responses = [
        b"",
        error_response(200, "<html>Log in</html>", "Content-Type: text/html"),
        error_response(502, "<html>Bad gateway</html>", "Content-Type: text/html"),
        error_response(503, "", "Retry-After: 0"),
        error_response(429, "{}", "Content-Type: application/json", "Retry-After: 0"),
    ]
    told = await follow(stack, StreamFaults(first_responses=first_responses))
    assert len(told["paths"]) == 6


@pytest.mark.rule("R38")
async def test_a_silent_connection_is_left(stack: Stack) -> None:
    """A proxy or a mobile network may lose a connection without telling either end."""
    told = await follow(stack, StreamFaults(silent_after=900), silenceMs=700)
    assert len(told["paths"]) == 2


@pytest.mark.rule("R38")
async def test_a_finished_answer_is_over_at_once(stack: Stack) -> None:
    """204: nothing is told, and nothing asked again."""
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    cursor = (await stack.closed(generation_id))["cursor"]
    async with sse_fault_proxy(stack.urls[0], StreamFaults()) as road:
        told = await javascript.run("watch.mjs", {"url": road.url, "id": generation_id, "after": cursor})
    assert (told["events"], told["refused"], told["states"][-1]) == ([], None, "ended")
    assert len(road.paths) == 1


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
    """With the server's own code, and without asking again."""
    known = generation_id or await stack.create(demo(pace_s=0, tokens=1))
    async with sse_fault_proxy(stack.urls[0], StreamFaults()) as road:
        told = await javascript.run("watch.mjs", {"url": road.url, "id": known, "after": after})
    assert told["refused"]["name"] == "OutliveError"
    assert (told["refused"]["status"], told["refused"]["code"]) == (status, code)
    assert len(road.paths) == 1


async def test_leaving_ends_the_watching_and_not_the_answer(stack: Stack) -> None:
    """Within a second of the signal, on a connection that would have stayed open."""
    generation_id = await stack.create(demo(pace_s=0, gate=unique(), gate_after=3))
    told = await javascript.run("watch.mjs", {"url": stack.urls[0], "id": generation_id, "leaveAfter": 3}, within_s=20)
    assert len(told["events"]) == 3
    assert told["refused"] is None
    assert (await stack.snapshot(generation_id))["status"] == "running"


@pytest.mark.rule("R38")
async def test_a_terminal_that_cuts_what_was_seen_is_not_taken(stack: Stack) -> None:
    """It is a hole like any other: the client asks again, is reset, and has the whole answer."""
    frames = [
        ("5-0", "queued", "{}"),
        ("6-0", "attempt", '{"attempt":1,"reason":"started"}'),
        ("6-1", "token", '{"text":"lost"}'),
        ("7-0", "cancelled", '{"reason":"requested","usage":{},"chars":0,"events":2,"cut":"6-0"}'),
    ]
    body = "".join(f"id: {i}\nevent: {kind}\ndata: {data}\n\n" for i, kind, data in frames)
    habits = Habits(refusals=[refusal(200, body, "Content-Type: text/event-stream")])
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    await stack.closed(generation_id)
    async with proxy(stack.urls[0], habits) as road:
        told = await javascript.run("watch.mjs", {"url": road.url, "id": generation_id})

    assert [event["type"] for event in told["events"][:5]] == ["queued", "attempt", "token", "reset", "queued"]
    assert road.paths[1].endswith("?after=6-1")
    assert (told["refused"], told["answer"]["status"]) == (None, "completed")
    assert told["answer"]["text"] == (await stack.snapshot(generation_id))["text"]
