"""When the API accepts nothing new, because Redis is nearly full or too much waits; and what goes on nevertheless."""

import pytest
from redis.asyncio import Redis

from tests.support.problem_responses import check_problem
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tenants import AUTH, api_key, bearer
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R57")]

SLOW = demo(pace_s=0.05, tokens=100_000)


@pytest.mark.parametrize("auth", [{}, AUTH])
async def test_with_too_many_waiting_nothing_more_is_taken(redis_server: RedisServer, auth: dict[str, str]) -> None:
    """With and without authentication, and whichever tenant has filled the queue."""
    async with Stack(redis=redis_server, workers=0, settings=auth | {"max_queued": 2}) as stack:
        tenants = [bearer(await api_key(stack, unique())) for _ in range(3)]
        assert [(await stack.post(chat(QUICK), headers=tenant)).status for tenant in tenants] == [201, 201, 503]
        answer = await stack.post(chat(QUICK), headers=tenants[0])
        check_problem(answer, 503, "capacity")
        assert int(answer.headers["retry-after"]) > 0


async def test_a_redis_that_fills_up_takes_nothing_new_and_ends_what_runs() -> None:
    """At four fifths: 503 with Retry-After for a new one; reading, watching and cancelling go on."""
    server = RedisServer(options=["--maxmemory", "64mb"])
    await server.start()
    async with Stack(redis=server) as stack:
        running = await stack.create(SLOW)
        async with Redis.from_url(server.url) as redis:
            for n in range(52):
                await redis.set(f"ballast:{n}", b"x" * 1_000_000)

            async def full() -> bool:
                return (await stack.post(chat(QUICK))).status == 503

            await until(full, 10.0, "nothing new is taken")
            answer = await stack.post(chat(QUICK))
            check_problem(answer, 503, "capacity")
            assert int(answer.headers["retry-after"]) > 0
            before = await stack.snapshot(running)
            await until(lambda: _moved(stack, running, before["cursor"]), 10.0, "it goes on")
            assert (await stack.cancel(running))["status"] == "cancelled"
            async with open_events(stack.urls[0], running) as stream:
                assert [frame async for frame in stream][-1].event == "cancelled"
            await redis.delete(*(f"ballast:{n}" for n in range(52)))
            await until(lambda: _taken(stack), 10.0, "something new is taken")
    await server.stop()


async def _moved(stack: Stack, generation_id: str, cursor: str) -> bool:
    return bool((await stack.snapshot(generation_id))["cursor"] != cursor)


async def _taken(stack: Stack) -> bool:
    return (await stack.post(chat(QUICK))).status == 201
