"""Owns what the clients stand on: one stack for all of them."""

from collections.abc import AsyncIterator

import pytest

from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes and one worker; whoever harms them starts their own."""
    async with Stack(apis=2, redis=redis_server, settings={"retry_s": 0.1}) as running:
        yield running
