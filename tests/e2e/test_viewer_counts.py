"""How many viewers watch: over all API processes; those of a dead process are forgotten."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from outlive.shared.log.viewer_counts import EXPIRY_S
from tests.support.problem_responses import check_problem
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, demo, unique
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes; the last test kills one."""
    async with Stack(apis=2, redis=redis_server) as running:
        yield running


async def viewers(stack: Stack, generation_id: str, api: int) -> int:
    answer = await request("GET", f"{stack.urls[api]}/v1/generations/{generation_id}/viewers")
    assert answer.status == 200, answer
    count: int = answer.json()["viewers"]
    return count


async def until_seen(stack: Stack, generation_id: str, count: int, *, apis: tuple[int, ...], within_s: float) -> None:
    async def seen() -> bool:
        return all([await viewers(stack, generation_id, api) == count for api in apis])

    await until(seen, within_s, f"{count} viewers", every_s=0.1)


async def until_forgotten(stack: Stack, generation_id: str) -> None:
    """Wait until the count of the first generation is zero, and then that of a second one."""
    other = await stack.create(demo(gate=unique(), gate_after=1))
    async with open_events(stack.urls[0], other):
        await until_seen(stack, other, 1, apis=(1,), within_s=10)


@pytest.mark.rule("R36")
async def test_a_count_brings_back_nothing_that_was_deleted(stack: Stack) -> None:
    """Only the tombstone is left in Redis."""
    generation_id = await stack.create(demo(gate=unique(), gate_after=1))
    client = Redis.from_url(stack.redis.url)
    key = stack.keys.viewers(generation_id)
    try:
        async with open_events(stack.urls[0], generation_id):
            await until(lambda: client.exists(key), 10, "a count")
            await request("DELETE", f"{stack.urls[1]}/v1/generations/{generation_id}")
            await until_forgotten(stack, generation_id)
        assert not await client.exists(key)
    finally:
        await client.aclose()
    check_problem(await request("GET", f"{stack.urls[0]}/v1/generations/{generation_id}/viewers"), 410, "gone")


@pytest.mark.rule("R36")
async def test_every_process_knows_the_viewers_of_all(stack: Stack) -> None:
    """As they come, as they leave, and when a process is killed with its viewers."""
    generation_id = await stack.create(demo(gate=unique(), gate_after=1))
    async with AsyncExitStack() as streams:
        for url in (stack.urls[0], stack.urls[0], stack.urls[1]):
            await streams.enter_async_context(open_events(url, generation_id))
        await until_seen(stack, generation_id, 3, apis=(0, 1), within_s=10)
        assert (await stack.snapshot(generation_id, api=1))["viewers"] == 3
        stack.apis[0].kill()
        await until_seen(stack, generation_id, 1, apis=(1,), within_s=EXPIRY_S + 10)
    await until_seen(stack, generation_id, 0, apis=(1,), within_s=10)
