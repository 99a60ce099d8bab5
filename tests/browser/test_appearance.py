"""How the page looks and how screen readers read it: no serious finding of axe, and pictures for people."""

from typing import Final

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import Appearance
from tests.support.browser import Tab, tab
from tests.support.javascript import MODULES
from tests.support.stack import Stack, demo, unique

pytestmark = pytest.mark.anyio

AXE: Final = MODULES / "axe-core" / "axe.min.js"
QUESTION: Final = "Why does the sea look blue, and when does it not?"


async def check_axe(page: Tab) -> None:
    """Everything that WCAG 2.2 AA demands and a program can check."""
    # Bypasses the policy of the page, as an extension does.
    devtools = await page.page.context.new_cdp_session(page.page)
    await devtools.send("Runtime.evaluate", {"expression": AXE.read_text()})
    report = await page.page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    serious = [
        (one["id"], one["impact"], [node["target"] for node in one["nodes"]][:3])
        for one in report["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


async def test_it_is_accessible_and_fits(browser: Browser, stack: Stack, appearance: Appearance) -> None:
    """Empty, in the middle of an answer, with tools, data and an error at the end; nothing is wider than the window."""
    async with tab(browser, stack.urls[0], **appearance.options) as page:
        await page.open()
        await check_axe(page)
        await appearance.keep(page, "empty")
        gate = unique()
        await page.ask(QUESTION, model=demo(pace_s=0.002, reasoning=8, gate=gate, gate_after=150))
        await page.until_characters(500)
        await page.until("() => !document.getElementById('viewers').hidden")
        # What a person might have typed there.
        await page.page.fill("#model", "demo")
        await page.page.focus("#prompt")
        await appearance.keep(page, "text")
        await check_axe(page)
        await stack.model.open_gate(gate)
        await page.until_over()
        await page.ask("Can I walk from Sylt to Amrum at low tide?", model=demo(pace_s=0, tools=2), mode="tools")
        await page.until_over()
        await page.ask("Plan two quiet days on the coast", model=demo(pace_s=0), mode="data")
        await page.until_over()
        await appearance.keep(page, "data")
        await check_axe(page)
        await page.ask("Break, please", model="unknown-model")
        await page.until_over("failed")
        await check_axe(page)
        wide = await page.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        if await page.page.locator("#menu").is_visible():
            await page.page.click("#menu")
            await check_axe(page)
        assert page.problems == []


async def test_a_screen_reader_is_told_what_matters_and_not_every_token(page: Tab) -> None:
    """While 255 tokens come it announces that the answer begins and that it is complete."""
    await page.page.evaluate(
        """() => {
            window.spoken = [];
            const region = document.getElementById("announcement");
            new MutationObserver(() => window.spoken.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    await page.ask(QUESTION, model=demo(pace_s=0.001))
    await page.until_over()
    spoken = await page.page.evaluate("window.spoken")
    live = await page.page.locator("[aria-live]:not(#announcement), [role=log], [role=alert]").count()
    assert (spoken[0], len(spoken), live) == ("Answering.", 2, 0)
    assert spoken[1].startswith("The answer is complete")
