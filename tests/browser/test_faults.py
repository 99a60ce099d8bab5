"""What breaks behind the page or below it: the answer goes on, and the page says what happened."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import Tab, tab
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Its own stack, because the tests harm it."""
    async with Stack(redis=redis_server, settings={"lease_s": 2, "retry_s": 0.2}) as running:
        yield running


async def texts(page: Tab, stack: Stack, generation_id: str) -> tuple[str, str]:
    """The text on the page and the text of the log, without blanks and Markdown signs."""
    snapshot = await stack.snapshot(generation_id)

    def bare(text: str) -> str:
        return "".join(character for character in text if character.isalnum())

    return bare(await page.text()), bare(snapshot["text"])


async def test_a_killed_and_restarted_api_is_a_pause(page: Tab, stack: Stack) -> None:
    """The page says that it reconnects; then the notice disappears."""
    gate = unique()
    model = demo(pace_s=0, tokens=60, chars=10, gate=gate, gate_after=30, echo=1)
    generation_id = await page.ask("calm sea " * 60, model=model)
    await page.until_characters(200)
    stack.apis[0].kill()
    await expect(page.answer.locator(".notice.connection")).to_be_visible()
    await stack.model.open_gate(gate)
    await stack.apis[0].start()
    await page.until_over()
    shown, logged = await texts(page, stack, generation_id)
    assert shown == logged
    await expect(page.answer.locator(".notice.connection")).not_to_be_visible()


async def test_a_killed_worker_is_a_new_attempt_without_leftovers(page: Tab, stack: Stack) -> None:
    """The text of the first attempt disappears when the second begins; the page says why."""
    gate = unique()
    generation_id = await page.ask("tide " * 80, model=demo(pace_s=0, chars=10, gate=gate, gate_after=20, echo=1))
    await page.until_characters(150)
    stack.workers[0].kill()
    await stack.model.open_gate(gate)
    await stack.workers[0].start()
    await page.until_over()
    shown, logged = await texts(page, stack, generation_id)
    assert shown == logged == "tide" * 80
    await expect(page.answer.locator(".notice").first).to_contain_text("starts the answer again")
    assert (await stack.snapshot(generation_id))["attempt"] == 2


async def test_offline_and_online_again(page: Tab, stack: Stack) -> None:
    """The answer goes on meanwhile; the page catches up by itself."""
    gate = unique()
    generation_id = await page.ask("wave " * 100, model=demo(pace_s=0, chars=10, gate=gate, gate_after=20, echo=1))
    await page.until_characters(150)
    await page.page.context.set_offline(True)
    # An emulated offline network keeps open connections. A real one breaks them, and so does the restart.
    stack.apis[0].kill()
    await expect(page.answer.locator(".notice.connection")).to_contain_text("offline")
    await stack.apis[0].start()
    await stack.model.open_gate(gate)
    await stack.closed(generation_id)
    await page.page.context.set_offline(False)
    await page.until_over()
    shown, logged = await texts(page, stack, generation_id)
    assert shown == logged


async def test_a_providers_error_is_told_with_its_reason(page: Tab, stack: Stack) -> None:
    """And the person can ask again."""
    await page.ask("Anybody there?", model="unknown-model")
    await page.until_over("failed")
    await expect(page.answer.locator(".ending")).to_contain_text("unknown-model")
    await expect(page.answer.get_by_role("button", name="Retry")).to_be_visible()


async def test_asking_while_the_server_is_away_is_told(page: Tab, stack: Stack) -> None:
    """The question stays, and can be sent again."""
    stack.apis[0].kill()
    await page.page.fill("#prompt", "Is anybody there?")
    await page.page.press("#prompt", "Enter")
    await page.until_over("failed")
    await expect(page.answer.locator(".ending")).to_contain_text("cannot be reached")
    await stack.apis[0].start()
    await page.page.fill("#model", demo(pace_s=0, tokens=5))
    await page.answer.get_by_role("button", name="Retry").click()
    await until(lambda: "?g=" in page.page.url, 20, "an id in the address")


async def test_a_page_that_was_asleep_reads_on(browser: Browser, stack: Stack) -> None:
    """The browser freezes it, as when a laptop is closed; afterwards it catches up."""
    async with tab(browser, stack.urls[0]) as page:
        await page.open()
        gate = unique()
        model = demo(pace_s=0, chars=10, gate=gate, gate_after=20, echo=1)
        generation_id = await page.ask("dune " * 100, model=model)
        await page.until_characters(150)
        devtools = await page.page.context.new_cdp_session(page.page)
        await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        await stack.model.open_gate(gate)
        await stack.closed(generation_id)
        await devtools.send("Page.setWebLifecycleState", {"state": "active"})
        await page.until_over()
        shown, logged = await texts(page, stack, generation_id)
        assert shown == logged
