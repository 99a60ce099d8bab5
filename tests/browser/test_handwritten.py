"""Answers written into the log by the test, without a worker: every event of a tool call and of a growing value."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from outlive.shared.log.eventlog import Batch, Entry, EventLog
from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import EventType
from outlive.shared.store.connect import connect
from tests.browser.conftest import Appearance
from tests.integration.logs import LIMITS, append
from tests.support.browser import Tab, tab
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, chat

pytestmark = pytest.mark.anyio

_USAGE = {"prompt_tokens": 96, "completion_tokens": 148, "total_tokens": 244}


class Author:
    """Writes the log of one generation as its worker would."""

    def __init__(self, log: EventLog, generation_id: str) -> None:
        self.id = generation_id
        self._log = log
        self._epoch = self._seq = 0

    async def take(self) -> None:
        """Begin an attempt."""
        taken = await self._log.take(self.id, f"author {self._epoch}")
        self._epoch, self._seq = taken.cursor.epoch, 1

    async def hand_over(self) -> None:
        """Give the attempt up, and begin another."""
        await self._log.release(self.id, self._epoch, "worker_shutdown")
        await self.take()

    async def say(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Append the next events."""
        entries = [Entry(kind, encode_json(data), 0, 0) for kind, data in events]
        terminal = EventType.COMPLETED if events[-1][0] == "completed" else None
        await append(self._log, Batch(self.id, self._epoch, self._seq, entries, terminal))
        self._seq += len(entries)

    async def complete(self, finish_reason: str = "stop", **more: Any) -> None:
        """Append the terminal."""
        totals = {"usage": _USAGE, "chars": 0, "events": self._seq + 1}
        await self.say(("completed", {"finish_reason": finish_reason, **totals, **more}))


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Without a worker: the test plays the worker."""
    async with Stack(redis=redis_server, workers=0) as running:
        yield running


@pytest.fixture
async def log(stack: Stack) -> AsyncIterator[EventLog]:
    async with aclosing(connect(stack.redis.url)) as redis:
        yield EventLog(redis, stack.keys, LIMITS)


async def begin(stack: Stack, log: EventLog, prompt: str, mode: str) -> Author:
    """A question as the page asks it, and its first attempt."""
    noted = {"page": {"prompt": prompt, "model": "demo", "mode": mode, "after": None}}
    made = await stack.post(chat("demo", prompt, metadata=noted))
    author = Author(log, made.json()["id"])
    await author.take()
    return author


def ops(target: str, *changes: tuple[str, str, Any]) -> tuple[str, dict[str, Any]]:
    return "json", {"target": target, "ops": [{"op": op, "path": path, "value": value} for op, path, value in changes]}


async def test_a_tool_call_is_seen_from_its_first_piece_to_its_result(page: Tab, stack: Stack, log: EventLog) -> None:
    """Arguments grow as text, then as values; a new attempt drops them; a reload shows the same."""
    author = await begin(stack, log, "Can I walk there?", "tools")
    await page.open(author.id)
    for attempt in (1, 2):
        cards = page.answer.locator(".call")
        await author.say(("tool_call", {"index": 0, "id": "c1", "name": "look_up_tide", "arguments": '{"pla'}))
        await expect(cards.first.locator("pre.arguments")).to_have_text('{"pla')
        await expect(cards.first.locator("strong")).to_have_text("look_up_tide")
        await author.say(
            ("tool_call", {"index": 0, "arguments": 'ce": "Sylt"}'}), ops("c1", ("set", "", {"place": "Sylt"}))
        )
        await expect(cards.first.locator(".tree")).to_contain_text("Sylt")
        await author.say(
            ("tool_call_done", {"index": 0, "id": "c1", "name": "look_up_tide", "arguments": '{"place": "Sylt"}'}),
            ("tool_call_done", {"index": 1, "id": "c2", "name": "measure_distance", "arguments": "{}"}),
        )
        await expect(page.answer.locator("footer .state")).to_have_text("Running tools…")
        await author.say(
            ("tool_result", {"id": "c2", "name": "measure_distance", "error": "no such place", "duration_ms": 7}),
            ("tool_result", {"id": "c1", "name": "look_up_tide", "content": "12:40 <b>", "duration_ms": 31}),
        )
        await expect(cards.first.locator(".result")).to_have_text("12:40 <b>")
        await expect(cards.first.locator(".state")).to_have_text("done in 31 ms")
        await expect(cards.nth(1).locator(".state")).to_have_text("failed in 7 ms")
        if attempt == 1:
            await author.hand_over()
            await expect(cards).to_have_count(0)
    await author.say(("token", {"text": "Wait until **noon**."}))
    await author.complete()
    await page.until_over()
    await expect(page.answer.locator(".markdown strong")).to_have_text("noon")
    before = await page.answer.locator(".calls").inner_text()
    await page.page.reload()
    await page.until_over()
    assert await page.answer.locator(".calls").inner_text() == before


async def test_a_value_grows_where_it_changes(page: Tab, stack: Stack, log: EventLog) -> None:
    """Each op shows at once, existing elements stay, and the page shows a schema violation."""
    author = await begin(stack, log, "Plan a day", "data")
    await page.open(author.id)
    tree = page.answer.locator(".tree").first
    await author.say(("token", {"text": '{"title": "A d'}), ops("output", ("set", "", {"title": "A d"})))
    await expect(tree.locator(".value")).to_have_text("A d")
    await page.page.evaluate("() => { document.querySelector('.answer .tree .value').mark = 1; }")
    await author.say(ops("output", ("append", "/title", "ay out"), ("add", "/days", [])))
    await author.say(ops("output", ("add", "/days/0", {"a/b": ""}), ("append", "/days/0/a~1b", "<i>dunes</i>")))
    await expect(tree).to_contain_text("A day out")
    await expect(tree).to_contain_text("<i>dunes</i>")
    assert await page.page.evaluate("() => document.querySelector('.answer .tree .value').mark") == 1
    await author.say(ops("output", ("set", "/days/0", None)))
    await expect(tree.locator(".value.null")).to_have_text("null")
    await author.complete(violations=[{"target": "output", "path": "/days/0", "message": "null is not of type object"}])
    await page.until_over()
    await expect(page.answer.locator(".ending")).to_contain_text("null is not of type object")


async def test_the_picture_of_tools_and_data(
    browser: Browser, stack: Stack, log: EventLog, appearance: Appearance
) -> None:
    """One answer with a call, its result and an unfinished value, for the picture in the documentation."""
    author = await begin(stack, log, "Plan a walk from Amrum to Föhr", "data")
    done = {"place": "Amrum Nord", "date": "Saturday"}
    await author.say(
        ("reasoning", {"text": "The tide decides. First look it up."}),
        ("tool_call", {"index": 0, "id": "c1", "name": "look_up_tide", "arguments": encode_json(done).decode()}),
        ops("c1", ("set", "", done)),
        ("tool_call_done", {"index": 0, "id": "c1", "name": "look_up_tide", "arguments": encode_json(done).decode()}),
        ("tool_result", {"id": "c1", "name": "look_up_tide", "content": "Low tide at 12:40", "duration_ms": 184}),
        ops("output", ("set", "", {"title": "Across the tidal flats", "hours": 2.5, "guide": True, "stops": []})),
        ops("output", ("add", "/stops/0", "11:10, Norddorf, the last dune")),
        ops("output", ("add", "/stops/1", "12:40, the channel, knee-deep at low ti")),
    )
    async with tab(browser, stack.urls[0], **appearance.options) as page:
        await page.open(author.id)
        await expect(page.answer.locator(".tree").last).to_contain_text("low ti")
        await page.until("() => !document.getElementById('viewers').hidden")
        await appearance.keep(page, "tools")
        await author.say(ops("output", ("append", "/stops/1", "de")))
        await author.complete()
        await page.until_over()
        assert page.problems == []
