"""Owns what the browser tests use: one Chromium, one stack, a tab for each test, four appearances."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser

from tests.support.browser import Tab, chromium, tab
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """A real Chromium."""
    async with chromium() as running:
        yield running


@pytest.fixture(scope="session")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process, as on a developer's machine; a lease short enough to lose a worker in a test."""
    async with Stack(redis=redis_server, settings={"lease_s": 2, "retry_s": 0.2}) as running:
        yield running


@pytest.fixture
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Tab]:
    """A tab at the start of the page; the test fails if the page reported an error."""
    async with tab(browser, stack.urls[0]) as opened:
        await opened.open()
        yield opened
        assert opened.problems == []


@dataclass(frozen=True)
class Appearance:
    """One kind of screen. Its pictures go into the directory `PICTURES`, if set."""

    name: str
    options: dict[str, Any]
    folder: Path

    async def keep(self, page: Tab, what: str) -> None:
        """Take a picture of the window."""
        await page.page.screenshot(path=self.folder / f"{self.name}-{what}.png")


_DESKTOP: Final = {"viewport": {"width": 1280, "height": 800}}
_PHONE: Final = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
APPEARANCES: Final[dict[str, dict[str, Any]]] = {
    "desktop": {**_DESKTOP, "color_scheme": "light"},
    "dark": {**_DESKTOP, "color_scheme": "dark"},
    "phone": {**_PHONE, "color_scheme": "light"},
    "phone-dark": {**_PHONE, "color_scheme": "dark", "reduced_motion": "reduce"},
}


@pytest.fixture(params=APPEARANCES)
def appearance(request: pytest.FixtureRequest, tmp_path: Path) -> Appearance:
    """Each appearance in turn."""
    return Appearance(request.param, APPEARANCES[request.param], Path(os.environ.get("PICTURES", tmp_path)))
