"""Texts that try to be more than text: the EventSource of a browser reads what was sent."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Browser

from outlive.shared.model.codec import decode_json
from tests.support.browser import tab
from tests.support.client_reports import reencoded, transcript_of
from tests.support.injections import MODEL, answer, check_unchanged
from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import ScriptedProvider
from tests.support.sse import events_url
from tests.support.stack import Stack

pytestmark = pytest.mark.anyio

# Returned as text, because half a character does not pass otherwise.
FOLLOW: Final = """
url => new Promise((resolve) => {
  const types = ["queued", "attempt", "token", "reasoning", "tool_call", "tool_call_done", "turn", "json",
    "completed", "failed", "cancelled", "reset", "message"];
  const told = [];
  const source = new EventSource(url);
  for (const type of types) source.addEventListener(type, ({ lastEventId, data }) => {
    told.push({ id: lastEventId, type, data: JSON.parse(data) });
  });
  // After the terminal it comes back once, and is told that there is nothing more.
  source.addEventListener("error", () => { if (source.readyState === source.CLOSED) resolve(JSON.stringify(told)); });
})
"""


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    async with ScriptedProvider() as provider:
        provider.scripts[MODEL] = answer()
        async with Stack(redis=redis_server, environ=provider.environ, settings={"retry_s": 0.1}) as running:
            yield running


@pytest.mark.rule("R1")
@pytest.mark.parametrize("fold", [True, False])
async def test_a_browser_reads_what_was_sent(browser: Browser, stack: Stack, *, fold: bool) -> None:
    """The same events as in the log, one terminal, and the same answer from them."""
    made = await stack.create(MODEL)
    snapshot = await stack.closed(made)
    async with tab(browser, stack.urls[0]) as opened:
        await opened.open()
        events = decode_json(await opened.page.evaluate(FOLLOW, events_url("", made, fold=fold)))
    transcript = transcript_of(made, "Chromium", events)
    check_invariants([transcript], snapshot, reencoded(await stack.log(made)))
    check_unchanged(transcript.reduce())
    assert events[0]["data"]["model"] == MODEL
