"""Owns a real Chromium (Debian's) and our page in it, used as a person would use it."""

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
        # Tests run as root, which allows no sandbox; /dev/shm is too small in containers.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """One tab with the page in it. `problems` holds what its console reported as errors."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.base_url = base_url
        self.problems: list[str] = []
        page.set_default_timeout(WITHIN_MS)
        page.on("console", self._on_console)
        page.on("pageerror", self._on_page_error)

    async def open(self, generation_id: str | None = None) -> None:
        """Open the page, at a generation or at its start."""
        await self.page.goto(f"{self.base_url}/" + (f"?g={generation_id}" if generation_id else ""))

    async def ask(self, prompt: str, *, model: str, mode: str = "text") -> str:
        """Send a prompt, and return the id of the generation."""
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
        """The text of the newest answer, as a person reads it."""
        return await self.answer.locator(".markdown").inner_text()

    async def until(self, condition: str, argument: Any = None) -> None:
        """Wait for a JavaScript condition."""
        await self.page.wait_for_function(condition, arg=argument, timeout=WITHIN_MS)

    async def until_characters(self, count: int) -> None:
        """Wait until the newest answer has this many characters."""
        condition = "count => [...document.querySelectorAll('.turn .markdown')].at(-1)?.innerText.length >= count"
        await self.until(condition, count)

    async def until_over(self, status: str = "completed") -> None:
        """Wait until the newest answer has ended with this status and is drawn to its last character."""
        await self.until(
            "status => { const all = [...document.querySelectorAll('.answer')]; "
            "return all.length && all.at(-1).dataset.status === status; }",
            status,
        )
        await self.page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def _on_console(self, message: ConsoleMessage) -> None:
        # Some tests stop the server on purpose.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def _on_page_error(self, error: Error) -> None:
        self.problems.append(str(error))


@asynccontextmanager
async def tab(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Tab]:
    """A tab in a window of its own, without cookies or history."""
    context: BrowserContext = await browser.new_context(**options)
    try:
        yield Tab(await context.new_page(), base_url)
    finally:
        await context.close()
