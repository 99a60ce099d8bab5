"""Connections to Redis: a cancelled command is really cancelled, and leaves nothing to the next."""

import asyncio
import random

import pytest

from shared.connection import connect
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_no_cancellation_is_lost(redis_server: RedisServer) -> None:
    """A loop of commands ends when its task is cancelled, at whatever point that hits it."""
    redis = connect(redis_server.url)
    chance = random.Random(1)

    async def ping_for_ever() -> None:
        while True:
            await redis.ping()

    try:
        for _ in range(500):
            task = asyncio.create_task(ping_for_ever())
            for _ in range(chance.randrange(1, 30)):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=5)
            assert done, "a cancelled command went on"
    finally:
        await redis.aclose()


async def test_a_cancelled_command_leaves_no_reply_for_the_next(redis_server: RedisServer) -> None:
    """Fifty tasks, each reading its own key, half of them cancelled anywhere: nobody gets another's."""
    redis = connect(redis_server.url, connections=4)
    chance = random.Random(2)
    crossed: list[tuple[str, bytes | None]] = []

    async def read(name: str) -> None:
        await redis.set(name, name)
        for _ in range(20):
            found = await redis.get(name)
            if found != name.encode():
                crossed.append((name, found))

    try:
        for storm in range(10):
            tasks = [asyncio.create_task(read(f"cross-{storm}-{i}")) for i in range(50)]
            for task in tasks[::2]:
                for _ in range(chance.randrange(1, 10)):
                    await asyncio.sleep(0)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert not [r for r in results if isinstance(r, Exception)]
        assert crossed == []
    finally:
        await redis.aclose()
