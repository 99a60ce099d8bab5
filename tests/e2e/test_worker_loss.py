"""A worker dies, is stopped or is missing: viewers get an end, or a new attempt, in time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LEASE_S = 1.0


@contextlib.asynccontextmanager
async def _stack(redis: RedisServer, *, workers: int, **settings: object) -> AsyncIterator[Stack]:
    async with Stack(redis=redis, workers=workers, settings={"lease_s": LEASE_S, **settings}) as stack:
        yield stack


async def _has_text(stack: Stack, generation_id: str) -> dict[str, Any]:
    async def with_text() -> dict[str, Any] | None:
        snapshot = await stack.snapshot(generation_id)
        return snapshot if snapshot["text"] else None

    return await until(with_text, 10, "the first text")


@pytest.mark.rule("R24")
async def test_a_killed_workers_generation_begins_anew_on_another(redis_server: RedisServer) -> None:
    """Within lease + 2 s there is a new attempt, and then the whole answer."""
    async with _stack(redis_server, workers=1) as stack:
        generation_id = await stack.create(demo(pace_s=0, tokens=30, gate="kill", gate_after=5))
        watching = asyncio.create_task(Viewer(generation_id, stack.urls, fold=False).follow())
        await _has_text(stack, generation_id)
        await stack.start_worker()
        stack.workers[0].kill()

        async def second_attempt() -> bool:
            return bool((await stack.snapshot(generation_id))["attempt"] == 2)

        await until(second_attempt, LEASE_S + 2, "a second attempt")
        await stack.model.open_gate("kill")
        transcript = await watching
        snapshot = await stack.closed(generation_id)

        check_invariants([transcript], snapshot, await stack.log(generation_id))
        assert snapshot["status"] == "completed"
        reasons = [frame.data["reason"] for frame in transcript.frames if frame.event == "attempt"]
        assert reasons == ["started", "worker_lost"]


@pytest.mark.rule("R24")
async def test_a_killed_workers_text_stands_if_the_caller_wants_no_restart(redis_server: RedisServer) -> None:
    """With `on_interrupt: fail` the sweep ends it, without any worker."""
    async with _stack(redis_server, workers=1) as stack:
        model = demo(pace_s=0, tokens=30, gate="never", gate_after=5)
        generation_id = await stack.create(model, on_interrupt="fail")
        seen = await _has_text(stack, generation_id)
        stack.workers[0].kill()
        snapshot = await stack.closed(generation_id, within_s=LEASE_S + 2)

        assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "worker_lost")
        assert snapshot["text"] == seen["text"]


# `make test` covers this in the chaos suite, with a shorter run.
@pytest.mark.long
@pytest.mark.rule("R16")
async def test_a_stopped_worker_hands_over_at_no_cost(redis_server: RedisServer) -> None:
    """SIGTERM four times on one generation: more attempts than may be lost, and still completed."""
    async with _stack(redis_server, workers=1, drain_s=0.1) as stack:
        generation_id = await stack.create(demo(pace_s=0, tokens=30, gate="deploy", gate_after=5))
        watching = asyncio.create_task(Viewer(generation_id, stack.urls, fold=False).follow())
        for attempt in range(1, 5):

            async def begun(number: int = attempt) -> bool:
                snapshot = await stack.snapshot(generation_id)
                return bool(snapshot["attempt"] == number and snapshot["text"])

            await until(begun, 10, f"attempt {attempt}")
            await stack.start_worker()
            await stack.workers[-2].stop()
        await stack.model.open_gate("deploy")
        transcript = await watching
        snapshot = await stack.closed(generation_id)

        check_invariants([transcript], snapshot, await stack.log(generation_id))
        assert (snapshot["status"], snapshot["attempt"]) == ("completed", 5)
        reasons = [frame.data["reason"] for frame in transcript.frames if frame.event == "attempt"]
        assert reasons == ["started", *["worker_shutdown"] * 4]


@pytest.mark.rule("R24")
async def test_without_any_worker_the_deadline_ends_it(redis_server: RedisServer) -> None:
    """The API process alone ends it with `failed`."""
    async with _stack(redis_server, workers=0) as stack:
        generation_id = await stack.create(demo(pace_s=0), deadline_s=1)
        transcript = await Viewer(generation_id, stack.urls, within_s=1 + LEASE_S + 2).follow()
        snapshot = await stack.closed(generation_id)

        check_invariants([transcript], snapshot, await stack.log(generation_id))
        assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "deadline_exceeded")


@pytest.mark.rule("R24")
async def test_a_delivery_that_was_lost_is_made_again(redis_server: RedisServer) -> None:
    """The whole queue is lost between create and claim: the log still knows of the generation."""
    async with _stack(redis_server, workers=0) as stack:
        generation_id = await stack.create(demo(pace_s=0, tokens=5))
        async with Redis.from_url(redis_server.url) as redis:
            await redis.delete(stack.keys.queue, stack.keys.wake, stack.keys.delivery(generation_id))
        await stack.start_worker()

        assert (await stack.closed(generation_id, within_s=LEASE_S + 4))["status"] == "completed"
