"""Owns what the clients stand on: one stack for all of them, and OpenAI's SDK at each of its places."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.support import openai_sdk
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes and one worker; whoever harms them starts their own."""
    async with Stack(apis=2, redis=redis_server, settings={"retry_s": 0.1}) as running:
        yield running


@pytest.fixture(scope="session")
async def ours(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK at the first API process."""
    async with openai_sdk.sdk_client(stack.urls[0]) as client:
        yield client


@pytest.fixture(scope="session")
async def other(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK at the second."""
    async with openai_sdk.sdk_client(stack.urls[1]) as client:
        yield client


@pytest.fixture(scope="session")
async def provider(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK at the demo model, without Outlive in between."""
    async with openai_sdk.sdk_client(stack.model.url) as client:
        yield client
