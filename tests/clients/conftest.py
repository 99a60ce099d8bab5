"""Owns what the client tests use: one stack for all, and the SDK of OpenAI for each of its addresses."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.support import openai_sdk
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes and one worker; a test that harms them starts its own."""
    async with Stack(apis=2, redis=redis_server, settings={"retry_s": 0.1}) as running:
        yield running


@pytest.fixture(scope="session")
async def ours(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on the first API process."""
    async with openai_sdk.sdk_client(stack.urls[0]) as client:
        yield client


@pytest.fixture(scope="session")
async def other(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on the second API process."""
    async with openai_sdk.sdk_client(stack.urls[1]) as client:
        yield client


@pytest.fixture(scope="session")
async def provider(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on the demo model itself, without Outlive in between."""
    async with openai_sdk.sdk_client(stack.model.url) as client:
        yield client
