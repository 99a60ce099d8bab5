"""Cancelling: from any process, at any time, any number of times, and the provider notices."""

import time
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, demo, unique
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CLOSED_WITHIN_S = 1.0
FOREVER = 1_000_000


async def see(stack: Stack, generation_id: str, tokens: int) -> None:
    """Wait until a viewer has seen this many tokens."""
    seen = 0
    async with open_events(stack.urls[0], generation_id, fold=False) as stream:
        async for frame in stream:
            seen += frame.event == "token"
            if seen >= tokens:
                return
    raise AssertionError(f"{generation_id} ended after {seen} tokens")


async def upstream_closed(stack: Stack, model: str, cancelled_at: float) -> dict[str, Any]:
    """The model's record of the request once our side has closed it; fails if that took too long."""

    async def closed() -> dict[str, Any] | None:
        asked = await stack.model.requests(model)
        return asked[0] if asked and asked[0]["end"] != "open" else None

    record: dict[str, Any] = await until(closed, 5.0, f"end of the request to {model}")
    assert record["end"] == "client_closed"
    assert record["closed_monotonic"] - cancelled_at < CLOSED_WITHIN_S
    return record


async def check_cancelled(stack: Stack, generation_id: str) -> Transcript:
    """Check that all readers see it as cancelled, and agree on what still counts."""
    transcript = await Viewer(generation_id, stack.urls).follow()
    log = await stack.log(generation_id)
    check_invariants([transcript], await stack.snapshot(generation_id), log)
    assert [kind for _, kind, _ in log].count("cancelled") == 1
    assert transcript.reduce()["status"] == "cancelled"
    return transcript


@pytest.mark.rule("R18")
async def test_cancelling_what_is_queued_ends_it_before_it_began(redis_server: RedisServer) -> None:
    """Viewers see the end at once, without any worker; a worker that comes later never calls the model."""
    model = demo(seed=unique(), tokens=5, pace_s=0)
    async with Stack(workers=0, redis=redis_server) as stack:
        generation_id = await stack.create(model)
        answer = await stack.cancel(generation_id)
        assert answer["status"] == "cancelled"
        transcript = await check_cancelled(stack, generation_id)
        assert [frame.event for frame in transcript.frames] == ["queued", "cancelled"]

        await stack.start_worker()
        after = await stack.create(demo(tokens=5, pace_s=0))
        assert (await stack.closed(after))["status"] == "completed"
        assert await stack.model.requests(model) == []
        await check_cancelled(stack, generation_id)


@pytest.mark.rule("R18")
@pytest.mark.parametrize("api", [0, 1], ids=["same process", "other process"])
async def test_cancelling_what_is_running_stops_the_provider(stack: Stack, api: int) -> None:
    """From either process, the stream of the viewer ends and the upstream socket closes within a second."""
    model = demo(seed=unique(), tokens=FOREVER, pace_s=0.01)
    generation_id = await stack.create(model)
    await see(stack, generation_id, 5)
    async with open_events(stack.urls[0], generation_id) as stream:
        answer = await stack.cancel(generation_id, api=api)
        cancelled_at = time.monotonic()
        events = [frame.event async for frame in stream]

    assert answer["status"] == "cancelled"
    assert events[-1] == "cancelled"
    record = await upstream_closed(stack, model, cancelled_at)
    assert record["chunks_sent"] >= 5
    await check_cancelled(stack, generation_id)


@pytest.mark.rule("R18")
@pytest.mark.parametrize("tokens_before", [0, 5], ids=["before the first token", "after some tokens"])
async def test_cancelling_during_silence_stops_the_provider(stack: Stack, tokens_before: int) -> None:
    """A silent model can be stopped before its next token."""
    gate = unique()
    model = demo(seed=unique(), tokens=50, pace_s=0, gate=gate, gate_after=tokens_before)
    generation_id = await stack.create(model)

    async def silent() -> bool:
        return any(one["at_gate"] for one in await stack.model.requests(model))

    await until(silent, 20.0, "the model to fall silent")
    if tokens_before:
        # One event may carry several pieces of the model, so the number of events is unknown.
        await see(stack, generation_id, 1)
    await stack.cancel(generation_id, api=1)
    await upstream_closed(stack, model, time.monotonic())
    transcript = await check_cancelled(stack, generation_id)
    assert bool(transcript.reduce()["text"]) == bool(tokens_before)


@pytest.mark.rule("R18")
async def test_cancelling_what_has_completed_says_so(stack: Stack) -> None:
    """It stays completed for all readers."""
    generation_id = await stack.create(demo(tokens=5, pace_s=0))
    before = await stack.closed(generation_id)
    for api in (0, 1):
        assert (await stack.cancel(generation_id, api=api))["status"] == "completed"
    assert await stack.snapshot(generation_id) == before


@pytest.mark.rule("R18")
async def test_cancelling_twice_is_cancelling_once(stack: Stack) -> None:
    """The second response, from the other process, equals the first; the log has one terminal."""
    generation_id = await stack.create(demo(seed=unique(), tokens=FOREVER, pace_s=0.01))
    await see(stack, generation_id, 1)
    answers = [await stack.cancel(generation_id, api=api) for api in (0, 1, 0)]

    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["status"] == "cancelled"
    await check_cancelled(stack, generation_id)


async def test_cancelling_one_leaves_others_alone(stack: Stack) -> None:
    """Another generation on the same worker goes on to its end."""
    gate = unique()
    kept = await stack.create(demo(tokens=20, pace_s=0, gate=gate, gate_after=5))
    ended = await stack.create(demo(seed=unique(), tokens=FOREVER, pace_s=0.01))
    await see(stack, kept, 1)
    await see(stack, ended, 1)
    await stack.cancel(ended)
    await check_cancelled(stack, ended)
    await stack.model.open_gate(gate)

    assert (await stack.closed(kept))["status"] == "completed"
