"""Owns what the browser tests stand on: one Chromium, one stack, a tab for each test."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.support.browser import Tab, chromium, tab
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """A real one."""
    async with chromium() as running:
        yield running


@pytest.fixture(scope="session")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process, as at home; a lease short enough to lose a worker in a test."""
    async with Stack(redis=redis_server, settings={"lease_s": 2, "retry_s": 0.2}) as running:
        yield running


@pytest.fixture
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Tab]:
    """A tab at the start of the page; nothing may have gone wrong in it."""
    async with tab(browser, stack.urls[0]) as opened:
        await opened.open()
        yield opened
        assert opened.problems == []
