"""The page as a person uses it: ask, watch, stop, share, come back."""

from typing import Final

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import Tab, tab
from tests.support.stack import Stack, demo, unique

pytestmark = pytest.mark.anyio

QUESTION: Final = "Why does the sea look blue?"


async def words_of(tab_: Tab) -> str:
    """The text without blanks, which rendering may change."""
    return "".join((await tab_.text()).split())


async def test_an_answer_streams_and_is_rendered(page: Tab, stack: Stack) -> None:
    """Markdown becomes elements as it comes; at the end the page shows time, tokens and usage."""
    gate = unique()
    generation_id = await page.ask(QUESTION, model=demo(pace_s=0, reasoning=5, gate=gate, gate_after=30))
    await page.until_characters(80)
    assert (await stack.snapshot(generation_id))["status"] == "running"
    await expect(page.page.locator("#viewers")).to_have_text("1 viewer")
    await stack.model.open_gate(gate)
    await page.until_over()

    answer = page.answer
    await expect(answer.locator(".markdown h4").first).to_have_text("What is happening while you read")
    await expect(answer.locator(".markdown ol > li")).to_have_count(3)
    await expect(answer.locator(".code .language")).to_have_text("python")
    assert "for token in answer:" in await answer.locator("pre code").inner_text()
    assert "tokens" in await answer.locator(".measures").inner_text()
    # The reasoning exists, but is collapsed.
    await expect(answer.locator(".thoughts")).not_to_be_visible()
    await answer.locator(".reasoning summary").click()
    await expect(answer.locator(".thoughts")).to_contain_text("The question is")


async def test_two_tabs_show_equal_text(page: Tab, stack: Stack, browser: Browser) -> None:
    """One from the start, one that joins in the middle by the shared link; both are counted."""
    gate = unique()
    await page.ask(QUESTION, model=demo(pace_s=0, tokens=300, gate=gate, gate_after=100))
    await page.until_characters(200)
    await page.page.click("#share")
    link = await page.page.input_value("#link")
    await page.page.keyboard.press("Escape")
    async with tab(browser, stack.urls[0]) as other:
        await other.page.goto(link)
        await other.until_characters(200)
        assert await words_of(other) == await words_of(page)
        await expect(page.page.locator("#viewers")).to_have_text("2 viewers", timeout=20_000)
        await stack.model.open_gate(gate)
        await page.until_over()
        await other.until_over()
        assert await words_of(other) == await words_of(page)
        assert other.problems == []


async def test_a_reload_in_the_middle_continues(page: Tab, stack: Stack) -> None:
    """The browser stores nothing but the address; the question comes back as well."""
    gate = unique()
    generation_id = await page.ask(QUESTION, model=demo(pace_s=0, tokens=200, gate=gate, gate_after=60))
    await page.until_characters(150)
    before = await words_of(page)
    await page.page.reload()
    await page.until_characters(150)
    assert await words_of(page) == before
    await expect(page.page.locator(".question")).to_contain_text(QUESTION)
    await stack.model.open_gate(gate)
    await page.until_over()
    assert len(await words_of(page)) > len(before)
    assert (await stack.snapshot(generation_id))["status"] == "completed"


async def test_stop_stops_and_retry_asks_again(page: Tab, stack: Stack) -> None:
    """The text so far stays; Retry asks the same question again in the same position."""
    first = await page.ask(QUESTION, model=demo(pace_s=0, gate=unique(), gate_after=40))
    await page.until_characters(100)
    await page.page.click("#stop")
    await page.until_over("cancelled")
    await expect(page.answer.locator(".ending")).to_have_text("Stopped.")
    assert len(await page.text()) >= 100
    assert (await stack.snapshot(first))["status"] == "cancelled"

    await page.answer.get_by_role("button", name="Retry").click()
    await page.until("before => !location.href.includes(before)", first)
    await page.until_characters(100)
    await expect(page.page.locator(".turn")).to_have_count(1)
    await page.page.click("#stop")
    await page.until_over("cancelled")


async def test_a_conversation_goes_on_and_comes_back(page: Tab, stack: Stack) -> None:
    """The second question is sent with the first and its answer; the link of the last one shows both."""
    first = await page.ask("Alpha?", model=demo(pace_s=0, echo=1))
    await page.until_over()
    second = await page.ask("Beta?", model=demo(pace_s=0, echo=1))
    await page.until_over()
    snapshot = await stack.snapshot(second)
    assert snapshot["metadata"]["page"]["after"] == first
    asked = [one for one in await stack.model.requests() if one["prompt"].startswith("Beta?")]
    assert len(asked) == 1

    await page.page.goto(f"{page.base_url}/?g={second}")
    await expect(page.page.locator(".turn")).to_have_count(2)
    await expect(page.page.locator(".question").first).to_contain_text("Alpha?")
    await expect(page.page.locator(".markdown").first).to_have_text("Alpha?")
    # The list shows them as one conversation, which opens from there.
    await page.page.click("#new")
    await expect(page.page.locator("#welcome")).to_be_visible()
    await page.page.locator("#conversations a", has_text="Beta?").first.click()
    await expect(page.page.locator(".turn")).to_have_count(2)
    await expect(page.page.locator("#conversations [aria-current]")).to_contain_text("Beta?")
    await page.page.reload()
    await expect(page.page.locator("#conversations [aria-current]")).to_contain_text("Beta?")
    await expect(page.page.locator("#conversations a", has_text="Alpha?")).to_have_count(0)


async def test_tool_calls_show_their_arguments(page: Tab) -> None:
    """One card for each call, and what the end means."""
    await page.ask("Can I walk there?", model=demo(pace_s=0, tools=2), mode="tools")
    await page.until_over()
    cards = page.answer.locator(".call")
    await expect(cards).to_have_count(2)
    await expect(cards.first.locator("strong")).to_have_text("look_up_tide")
    await expect(cards.first).to_contain_text("place for Can I walk there?")
    await expect(page.answer.locator(".ending")).to_contain_text("tools")


async def test_structured_output_is_a_tree(page: Tab) -> None:
    """Instead of its text."""
    await page.ask("Plan a day", model=demo(pace_s=0), mode="data")
    await page.until_over()
    tree = page.answer.locator(".tree").first
    await expect(tree.locator(".key", has_text="needs_booking")).to_be_visible()
    await expect(tree.locator(".value.boolean")).to_have_text("true")
    assert "{" not in await page.answer.locator(".tree").first.inner_text()


async def test_a_native_event_source_reads_the_same_url(page: Tab, stack: Stack) -> None:
    """All events in order; after the terminal it connects once more, gets 204 and stops."""
    generation_id = await stack.create(demo(pace_s=0.005, tokens=100))
    seen = await page.page.evaluate(
        """id => new Promise((resolve) => {
            const source = new EventSource(`/v1/generations/${id}/events`);
            const ids = [];
            let text = "", ended = false;
            const take = (event) => { ids.push(event.lastEventId); return JSON.parse(event.data); };
            for (const type of ["queued", "attempt"]) source.addEventListener(type, take);
            source.addEventListener("token", (event) => { text += take(event).text; });
            source.addEventListener("completed", (event) => { take(event); ended = true; });
            source.onerror = () => { if (source.readyState === 2) resolve({ ids, text, ended }); };
        })""",
        generation_id,
    )
    snapshot = await stack.snapshot(generation_id)
    assert (seen["text"], seen["ids"][-1], seen["ended"]) == (snapshot["text"], snapshot["cursor"], True)
    assert len(set(seen["ids"])) == len(seen["ids"])


async def test_an_answer_that_is_not_there_says_so(page: Tab) -> None:
    """And the page offers no button that would not work."""
    await page.open("gen_" + "0" * 32)
    await page.until_over("failed")
    await expect(page.answer.locator(".ending")).to_be_visible()


async def test_it_can_be_used_by_keyboard_alone(page: Tab) -> None:
    """The prompt has the focus at once; Enter sends, Shift+Enter does not."""
    await page.page.keyboard.type("One line")
    await page.page.keyboard.press("Shift+Enter")
    await page.page.keyboard.type("and another")
    await expect(page.page.locator("#prompt")).to_have_value("One line\nand another")
    await page.page.keyboard.press("Enter")
    await expect(page.page.locator(".question")).to_contain_text("and another")
    await page.until_characters(10)
    await page.page.click("#stop")
    await page.until_over("cancelled")
