"""Metrics of real processes: those of a worker, and those of the API over all its processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.metrics_reading import scrape
from tests.support.ports import claim_port, release_port
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PROCESSES = 2


@pytest.fixture(scope="module")
async def port(anyio_backend: str) -> AsyncIterator[int]:
    port = claim_port()
    yield port
    release_port(port)


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer, port: int) -> AsyncIterator[Stack]:
    """One worker, and an API of several processes on one port."""
    several = ("--workers", str(PROCESSES))
    async with Stack(redis=redis_server, settings={"worker_port": port}, api_arguments=several) as running:
        yield running


def children(pid: int) -> list[int]:
    """The serving processes under the supervisor, without the helper of multiprocessing."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in pids if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


async def test_a_worker_tells_the_way_of_an_answer(stack: Stack, port: int) -> None:
    """How long it waited, how it began, how much it produced and how it ended; each counted once."""
    url = f"http://127.0.0.1:{port}"
    before = await scrape(url)
    for _ in range(3):
        await stack.closed(await stack.create(demo(tokens=20, pace_s=0.01)))
    refused = await stack.closed(await stack.create(demo(fault="400")))
    broken = await stack.closed(await stack.create(demo(fault="reset", after=3, pace_s=0.001)))
    assert (refused["status"], broken["status"]) == ("failed", "failed")

    async def is_counted() -> bool:
        return (await scrape(url)).of("generations_ended_total", outcome="failed", code="upstream_connection") == 1

    await until(is_counted, 5.0, "the last end told")
    now = await scrape(url)

    def grew(name: str, **labels: str) -> float:
        return now.of(name, **labels) - before.of(name, **labels)

    assert grew("generations_ended_total", outcome="completed", code="") == 3
    assert grew("generations_ended_total", outcome="failed", code="upstream_refused") == 1
    assert grew("attempts_total", reason="started") == 5
    assert grew("attempts_total", reason="upstream_interrupted") == 2
    assert grew("upstream_errors_total", upstream="default", code="upstream_refused") == 1
    assert grew("upstream_errors_total", upstream="default", code="upstream_connection") == 3
    assert grew("queue_wait_seconds_count") == 5
    assert grew("time_to_first_token_seconds_count") == 4
    assert grew("upstream_first_piece_seconds_count", upstream="default") == 6
    assert 0 < grew("time_to_first_token_seconds_sum") < 4 * 5.0
    assert grew("output_tokens_total") >= 3 * 20 + 3 * 3
    # On a machine that keeps up, tokens that come every 10 ms are appended one by one.
    assert 3 <= grew("inter_token_gap_seconds_count") <= 3 * 20 + 3 * 3
    assert grew("append_batch_events_sum") >= grew("append_batch_events_count") == grew("append_seconds_count")
    assert now.of("slots") == 100


async def test_a_cancel_is_measured_to_the_closed_socket(stack: Stack, port: int) -> None:
    """By the clock of Redis, from the terminal in the log to the closed socket of the provider."""
    url = f"http://127.0.0.1:{port}"
    before = await scrape(url)
    generation_id = await stack.create(demo(seed=unique(), pace_s=0.01, tokens=100_000))

    async def speaks() -> bool:
        return bool((await stack.snapshot(generation_id))["text"])

    await until(speaks, 10.0, "first text")
    assert (await scrape(url)).of("running_generations") == 1
    await stack.cancel(generation_id)

    async def measured() -> bool:
        now = await scrape(url)
        return now.of("cancel_to_socket_closed_seconds_count") > before.of("cancel_to_socket_closed_seconds_count")

    await until(measured, 5.0, "a cancel measured")
    now = await scrape(url)
    took_s = now.of("cancel_to_socket_closed_seconds_sum") - before.of("cancel_to_socket_closed_seconds_sum")
    assert 0 <= took_s < 1.0

    # arq writes its own records after that; the slot is in use until then.
    async def nothing_runs() -> bool:
        return (await scrape(url)).of("running_generations") == 0

    await until(nothing_runs, 5.0, "the slot free again")


async def test_each_process_of_an_api_tells_of_all(stack: Stack) -> None:
    """On every process: viewers of one generation, which the kernel spreads over processes, are counted once."""
    url, gate = stack.urls[0], unique()
    generation_id = await stack.create(demo(tokens=5, pace_s=0, gate=gate, gate_after=2))
    watching = [asyncio.create_task(Viewer(generation_id, [url]).follow()) for _ in range(12)]

    async def viewers() -> set[float]:
        # Each request has its own connection, so mostly another process serves it.
        scraped = await asyncio.gather(*(scrape(url) for _ in range(4 * PROCESSES)))
        return {one.of("viewers") for one in scraped}

    async def all_say(count: int) -> bool:
        return await viewers() == {count}

    await until(lambda: all_say(12), 15.0, "12 viewers, whoever is asked")
    # A killed process cannot count its viewers out. They come back, and are counted where they are now.
    killed = children(stack.apis[0].pid)[0]
    os.kill(killed, signal.SIGKILL)

    def is_replaced() -> bool:
        now = children(stack.apis[0].pid)
        return killed not in now and len(now) == PROCESSES

    await until(is_replaced, 30.0, "another process in its place")
    await until(lambda: all_say(12), 30.0, "12 viewers again, whoever is asked")
    scraped = await scrape(url)
    assert scraped.of("active_generations") == 1
    assert 1 <= scraped.of("feeds") <= PROCESSES
    await stack.model.open_gate(gate)
    await asyncio.gather(*watching)
    await until(lambda: all_say(0), 15.0, "no viewers, whoever is asked")


async def test_viewers_are_told_by_how_far_they_are_behind_and_how_they_end(stack: Stack) -> None:
    """One viewer leaves, one stays to the end, and one comes after the end."""
    url, gate = stack.urls[0], unique()
    before = await scrape(url)
    generation_id = await stack.create(demo(tokens=40, pace_s=0, gate=gate, gate_after=20))
    staying = asyncio.create_task(Viewer(generation_id, [url]).follow())
    async with open_events(url, generation_id) as stream:
        async for frame in stream:
            if frame.event == "token":
                break

    async def ended(reason: str) -> float:
        now = await scrape(url)
        return now.of("viewers_ended_total", reason=reason) - before.of("viewers_ended_total", reason=reason)

    async def is_counted(reason: str, count: int) -> bool:
        return await ended(reason) == count

    await until(lambda: is_counted("left", 1), 5.0, "the one that left")
    await stack.model.open_gate(gate)
    await staying
    await Viewer(generation_id, [url]).follow()
    await until(lambda: is_counted("terminal", 2), 5.0, "the two that saw the end")
    now = await scrape(url)
    assert now.of("catch_up_events_count") - before.of("catch_up_events_count") == 3
    # The last viewer lacked everything: at least `queued`, `attempt`, a token and the terminal.
    assert now.of("catch_up_events_sum") - before.of("catch_up_events_sum") >= 4


async def test_a_probe_says_how_late_events_reach_viewers(stack: Stack) -> None:
    """While anybody watches, on every process with a viewer; without viewers there is no probe."""
    url, gate = stack.urls[0], unique()
    generation_id = await stack.create(demo(tokens=5, pace_s=0, gate=gate, gate_after=2))
    before = await scrape(url)
    watching = [asyncio.create_task(Viewer(generation_id, [url]).follow()) for _ in range(4)]

    async def probed(count: int) -> bool:
        now = await scrape(url)
        return now.of("append_to_viewer_seconds_count") - before.of("append_to_viewer_seconds_count") >= count

    await until(lambda: probed(3), 15.0, "three probes", every_s=0.1)
    now = await scrape(url)
    took_s = now.of("append_to_viewer_seconds_sum") - before.of("append_to_viewer_seconds_sum")
    assert 0 < took_s < 15.0
    assert now.of("reader_lag_events") == 0
    await stack.model.open_gate(gate)
    await asyncio.gather(*watching)


async def test_problems_and_cancels_are_counted(stack: Stack) -> None:
    """By code and by outcome, over all processes."""
    url = stack.urls[0]
    before = await scrape(url)
    for _ in range(5):
        assert (await request("GET", f"{url}/v1/generations/gen_{'0' * 32}")).status == 404
    assert (await stack.post(chat(QUICK, deadline_s=-1))).status == 400
    assert (await request("POST", f"{url}/v1/chat/completions", body={"model": QUICK})).status == 400
    await stack.cancel(await stack.create(demo(pace_s=1)))
    now = await scrape(url)
    assert now.of("problems_total", code="not_found") - before.of("problems_total", code="not_found") == 5
    assert now.of("problems_total", code="bad_request") - before.of("problems_total", code="bad_request") == 2
    ended = {"outcome": "cancelled", "code": ""}
    assert now.of("generations_ended_total", **ended) - before.of("generations_ended_total", **ended) == 1


async def test_what_redis_does_not_do_is_counted_by_kind() -> None:
    """Here Redis is killed: it is unreachable, and nothing is known of the deployment."""
    redis = RedisServer()
    await redis.start()
    try:
        async with Stack(apis=1, workers=0, redis=redis) as stack:
            url = stack.urls[0]
            assert (await scrape(url)).of("active_generations") == 0
            redis.kill()

            async def noticed() -> bool:
                return (await scrape(url)).of("redis_errors_total", kind="connection") > 0

            await until(noticed, 15.0, "an error counted", every_s=0.1)
            assert str((await scrape(url)).of("active_generations")) == "nan"
            async with open_events(url, f"gen_{'0' * 32}") as stream:
                assert stream.status == 200
    finally:
        await redis.stop()
