"""The strip of pictures at the top of README.md: an answer, a reload in its middle, the same answer going on."""

import base64
import os
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser

from outlive.deploy.demo_model.prose import Voice, pieces
from tests.support.browser import Tab, tab
from tests.support.stack import Stack, demo, unique

pytestmark = pytest.mark.anyio

WINDOW: Final = {"width": 400, "height": 740}
PROMPT: Final = "Why is the sea blue?"
BEFORE: Final = "protocol and makes its answers up, so that"
"""What the answer's Markdown ends with at the reload."""
AFTER: Final = "Whoever watches is reading that log,"
"""What is shown when the last picture is taken. It fits into the window, so the page does not scroll."""


async def test_the_picture_of_a_reload(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    """After the reload the page shows the text that was there, in the same place, and more below it."""
    gate = unique()
    # It stops at both places, so that the pictures do not depend on how fast this machine takes them.
    stops = {"gate_after": _pieces_up_to(BEFORE), "fault": "stall", "after": _pieces_up_to(AFTER)}
    model = demo(pace_s=0.01, gate=gate, **stops)
    async with tab(browser, stack.urls[0], viewport=WINDOW, device_scale_factor=2) as page:
        await page.open()
        generation_id = await page.ask(PROMPT, model=model)
        await _until_shown(page, BEFORE)
        before = await page.text()
        bottom = await _bottom_of_text(page)
        pictures = [await _picture(page)]

        await page.page.reload()
        await _until_shown(page, BEFORE)
        assert await page.text() == before
        assert await _bottom_of_text(page) == bottom

        await page.until("() => !document.getElementById('viewers').hidden")
        await stack.model.open_gate(gate)
        await _until_shown(page, AFTER)
        pictures.append(await _picture(page))
        assert (await page.text()).startswith(before)
        await stack.cancel(generation_id)
        assert page.problems == []
    await _write_strip(browser, pictures, bottom, Path(os.environ.get("PICTURES", tmp_path)) / "reload.png")


def _pieces_up_to(end: str) -> int:
    """How many pieces of the demo model's answer there are until it has said `end`."""
    spoken = ""
    for count, piece in enumerate(pieces(iter([Voice(PROMPT, seed=0).answer()]), None), 1):
        spoken += piece
        if spoken.endswith(end):
            return count
    raise AssertionError(f"The demo model does not say {end!r}.")


async def _until_shown(page: Tab, markdown: str) -> None:
    # The page keeps the last character back until it knows what the next one makes of it in Markdown.
    words = markdown[:-1]
    await page.until("words => document.querySelector('.turn .markdown')?.innerText.includes(words)", words)


async def _picture(page: Tab) -> bytes:
    # What a person would have typed there.
    await page.page.fill("#model", "demo")
    await page.page.focus("#prompt")
    return await page.page.screenshot()


async def _bottom_of_text(page: Tab) -> int:
    """How many pixels below the window's top the text ends."""
    bottom: float = await page.answer.locator(".markdown").evaluate("element => element.getBoundingClientRect().bottom")
    return round(bottom)


async def _write_strip(browser: Browser, pictures: list[bytes], bottom: int, path: Path) -> None:
    """Both pictures side by side, with a line where the text ended, and a sign for the reload between them."""
    before, after = (
        f'<img src="data:image/png;base64,{base64.b64encode(picture).decode()}"><hr style="top: {bottom}px">'
        for picture in pictures
    )
    frames = {
        "1. The answer streams.": before,
        "2. The reader reloads the page.": "<b>\u21bb</b>",
        "3. It goes on at the same word.": after,
    }
    figures = "".join(
        f"<figure><figcaption>{caption}</figcaption><div>{frame}</div></figure>" for caption, frame in frames.items()
    )
    style = (
        "body { margin: 0; background: #fff; font: 600 17px system-ui, sans-serif; color: #24292f }"
        "main { display: flex; gap: 16px; padding: 8px; width: max-content }"
        "figure { margin: 0 } figcaption { padding: 4px 2px 10px }"
        "div { position: relative; border: 1px solid #c8ccd1; border-radius: 10px; overflow: hidden; "
        f"width: {WINDOW['width']}px; height: {WINDOW['height']}px }}"
        "img { width: 100% }"
        "b { position: absolute; inset: 40% 0; text-align: center; font-size: 90px; color: #8c959f }"
        "hr { position: absolute; left: 0; right: 0; margin: 0; border: 0; "
        "border-top: 2px dashed #d1242f }"
    )
    context = await browser.new_context(device_scale_factor=1.25, viewport={"width": 1300, "height": 700})
    try:
        page = await context.new_page()
        await page.set_content(f"<style>{style}</style><main>{figures}</main>")
        await page.locator("main").screenshot(path=path)
    finally:
        await context.close()
