"""Owns the stack most end-to-end files run on; a file that needs another defines its own `stack`."""

from collections.abc import AsyncIterator

import pytest

from tests.support.redis_server import RedisServer
from tests.support.stack import QUICK, Stack


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes and one worker."""
    async with Stack(apis=2, redis=redis_server) as running:
        yield running


@pytest.fixture(scope="module")
async def finished(stack: Stack) -> str:
    """A generation that completed, to read only."""
    generation_id = await stack.create(QUICK)
    await stack.closed(generation_id)
    return generation_id
