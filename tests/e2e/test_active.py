"""`ol:active` on real processes: when a generation ends, in whatever way, it is removed at once."""

import pytest
from redis.asyncio import Redis

from outlive.shared.store.connect import connect
from tests.support.processes import stop_all
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import QUICK, Stack, demo, unique
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R44")
async def test_however_a_generation_ends_it_is_active_no_more(redis_server: RedisServer) -> None:
    """Completed, failed, cancelled while it runs, and cancelled or deleted while it waits for a worker."""
    async with Stack(redis=redis_server) as stack:
        redis = connect(redis_server.url)
        try:
            await stack.closed(await stack.create(QUICK))
            await stack.closed(await stack.create(demo(fault="400")))
            await _until_active(redis, stack, set())

            gated = [await stack.create(demo(seed=unique(), tokens=9, gate=unique())) for _ in range(3)]
            await _until_active(redis, stack, set(gated))
            await stack.cancel(gated[0])
            await _until_active(redis, stack, set(gated[1:]))

            await stop_all(*stack.workers)
            waiting = [await stack.create(QUICK) for _ in range(2)]
            await _until_active(redis, stack, {*gated[1:], *waiting})
            await stack.cancel(waiting[0])
            answer = await request("DELETE", f"{stack.urls[0]}/v1/generations/{waiting[1]}")
            assert answer.status == 204
            await _until_active(redis, stack, set(gated[1:]))
        finally:
            await redis.aclose()


async def _until_active(redis: Redis, stack: Stack, expected: set[str]) -> None:
    async def are_active() -> bool:
        return {one.decode() for one in await redis.zrange(stack.keys.active, 0, -1)} == expected

    await until(are_active, 5.0, f"active: {expected}")
