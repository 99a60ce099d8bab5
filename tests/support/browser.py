"""Owns a real Chromium, Debian's own, and the page in it as a person would use it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, async_playwright

CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
WITHIN_MS: Final = 20_000
"""Generous: other tests may have both cores."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One browser."""
    async with async_playwright() as playwright:
        # Without a sandbox, because tests run as root; without /dev/shm, which containers keep small.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """One tab with the page in it. What went wrong in it is in `problems`."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.base_url = base_url
        self.problems: list[str] = []
        page.set_default_timeout(WITHIN_MS)
        page.on("console", self._heard)
        page.on("pageerror", self._failed)

    async def open(self, generation_id: str | None = None) -> None:
        """The page, at a generation or at the start."""
        await self.page.goto(f"{self.base_url}/" + (f"?g={generation_id}" if generation_id else ""))

    async def ask(self, prompt: str, *, model: str, mode: str = "text") -> str:
        """Ask, and return the id of the generation."""
        before = self.page.url
        await self.page.fill("#model", model)
        await self.page.check(f"#mode-{mode}", force=True)
        await self.page.fill("#prompt", prompt)
        await self.page.press("#prompt", "Enter")
        await self.page.wait_for_function("before => location.href !== before", arg=before)
        return self.page.url.partition("?g=")[2]

    @property
    def answer(self) -> Locator:
        """The newest answer."""
        return self.page.locator(".turn").last.locator(".answer")

    async def text(self) -> str:
        """The prose of the newest answer, as it is read."""
        return await self.answer.locator(".markdown").inner_text()

    async def until(self, condition: str, argument: Any = None) -> None:
        """Wait for a JavaScript condition."""
        await self.page.wait_for_function(condition, arg=argument, timeout=WITHIN_MS)

    async def until_words(self, count: int) -> None:
        """Wait until the newest answer has this many characters."""
        condition = "count => [...document.querySelectorAll('.turn .markdown')].at(-1)?.innerText.length >= count"
        await self.until(condition, count)

    async def until_over(self, status: str = "completed") -> None:
        """Wait for the end, drawn to the last character."""
        await self.until(
            "status => { const all = [...document.querySelectorAll('.answer')]; "
            "return all.length && all.at(-1).dataset.status === status; }",
            status,
        )
        await self.page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def _heard(self, message: ConsoleMessage) -> None:
        # A server that is away is what some tests are about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def _failed(self, error: Error) -> None:
        self.problems.append(str(error))


@asynccontextmanager
async def tab(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Tab]:
    """A tab in a window of its own, with nothing remembered."""
    context: BrowserContext = await browser.new_context(**options)
    try:
        yield Tab(await context.new_page(), base_url)
    finally:
        await context.close()
