"""The page with authentication: a key opens it, and a link opens one answer."""

import pytest
from playwright.async_api import Browser

from tests.support.browser import tab
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.tenants import AUTH, api_key

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R48")
async def test_a_link_shows_one_answer_to_whoever_has_it(browser: Browser, redis_server: RedisServer) -> None:
    """The secret in it is a token after the `#`, which the page removes from the address at once; the key is in no
    link."""
    async with Stack(redis=redis_server, settings=AUTH) as stack:
        key, url = await api_key(stack, "acme"), stack.urls[0]
        async with tab(browser, url) as mine:
            await mine.page.goto(f"{url}/#key={key}")
            await mine.ask("Why?", model=demo(pace_s=0, tokens=5))
            await mine.until_over()
            assert key not in mine.page.url
            await mine.page.click("#share")
            await mine.until("() => document.querySelector('#link').value.includes('#token=olg_')")
            link = await mine.page.input_value("#link")
            text = await mine.text()
        assert key not in link
        async with tab(browser, url) as other:
            await other.page.goto(link)
            await other.until_over()
            assert await other.text() == text
            assert "olg_" not in other.page.url
