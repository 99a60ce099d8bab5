"""Owns the stack that most end-to-end tests use; a file that needs another one defines its own `stack`."""

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
    """A generation that has completed; tests only read it."""
    generation_id = await stack.create(QUICK)
    await stack.closed(generation_id)
    return generation_id
