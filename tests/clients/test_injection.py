"""Texts that try to be more than text, on the whole path: parsers that share no code read what was sent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NamedTuple

import httpx
import pytest
from openai import APIError
from openai._streaming import SSEDecoder

from outlive.shared.model.codec import decode_json
from tests.clients.others import CLIENTS, Events
from tests.support import javascript, openai_sdk
from tests.support.client_reports import reencoded, transcript_of
from tests.support.injections import ALL_TEXT, INJECTIONS, MODEL, answer, check_unchanged, failure
from tests.support.invariants import LogEntry, check_invariants
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import ScriptedProvider
from tests.support.sse import events_url
from tests.support.stack import Stack
from tests.support.transcript import whole

pytestmark = pytest.mark.anyio

METADATA: Final = {f"{n}{text}": text for n, text in enumerate(INJECTIONS)}
ERROR_TEXT: Final = whole("".join(INJECTIONS)[:500])
"""The API passes on at most so much of a provider's message."""


class Site(NamedTuple):
    stack: Stack
    answer: str
    snapshot: dict[str, Any]
    log: list[LogEntry]
    spoken: str
    """The name of a model whose text alone is the corpus."""


async def by_openai(url: str) -> Events:
    """The decoder of OpenAI's Python SDK, which has its own parser."""
    async with httpx.AsyncClient(timeout=20) as client:
        body = (await client.get(url)).content
    events = SSEDecoder().iter_bytes(iter([body[:1000], body[1000:]]))
    # It also reports a lone `retry:`.
    return [{"id": event.id, "type": event.event, "data": decode_json(event.data)} for event in events if event.data]


PARSERS: Final[dict[str, Callable[[str], Awaitable[Events]]]] = {**CLIENTS, "openai": by_openai}


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer) -> AsyncIterator[Site]:
    """One answer with the whole corpus, and models that send it and fail with it."""
    async with ScriptedProvider() as provider, Stack(redis=redis_server, environ=provider.environ) as stack:
        provider.scripts[MODEL] = answer()
        provider.scripts["failing"] = failure()
        provider.scripts["spoken"] = answer(INJECTIONS)
        made = await stack.create(MODEL, metadata=METADATA)
        snapshot = await stack.closed(made)
        yield Site(stack, made, snapshot, await stack.log(made), "spoken")


def test_the_snapshot_is_what_was_sent(site: Site) -> None:
    """Text, reasoning, calls, the name of the model and the metadata of the caller."""
    check_unchanged(site.snapshot)
    assert (site.snapshot["model"], site.snapshot["metadata"]) == (MODEL, METADATA)


@pytest.mark.rule("R1")
@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("parser", PARSERS)
async def test_a_parser_reads_what_was_sent(site: Site, parser: str, *, fold: bool) -> None:
    """The same events as in the log, one terminal, and the same answer from them."""
    events = await PARSERS[parser](events_url(site.stack.urls[0], site.answer, fold=fold))
    transcript = transcript_of(site.answer, parser, events)
    check_invariants([transcript], site.snapshot, reencoded(site.log))
    check_unchanged(transcript.reduce())
    assert events[0]["data"]["model"] == MODEL


async def test_a_providers_error_is_told_in_its_words(site: Site) -> None:
    """Every parser gets its message, and no additional event."""
    made = await site.stack.create("failing", on_interrupt="fail")
    snapshot = await site.stack.closed(made)
    assert whole(snapshot["error"]["message"]) == ERROR_TEXT
    for name, parser in PARSERS.items():
        events = await parser(events_url(site.stack.urls[0], made))
        check_invariants([transcript_of(made, name, events)], snapshot, reencoded(await site.stack.log(made)))
        assert whole(events[-1]["data"]["message"]) == ERROR_TEXT


async def test_openais_sdks_read_what_was_sent(site: Site) -> None:
    """On their own wires, streamed, in Python and in Node; an error is raised with the message of the provider."""
    url = site.stack.urls[0]
    async with openai_sdk.sdk_client(url) as client:
        chat = await openai_sdk.accumulated(client, **openai_sdk.arguments(site.spoken))
        responses = await client.responses.create(model=site.spoken, input="x", stream=True)
        final = [event async for event in responses][-1]
        with pytest.raises(APIError) as raised:
            await openai_sdk.accumulated(client, **openai_sdk.arguments("failing"))
    message = chat["choices"][0]["message"]
    assert whole(message["content"]) == ALL_TEXT
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [text for text in INJECTIONS if text]
    assert final.type == "response.completed"
    assert whole(final.response.output_text) == ALL_TEXT
    assert whole(raised.value.message) == ERROR_TEXT

    asked = {"baseURL": f"{url}/v1", "other": f"{url}/v1", "model": site.spoken, "prompt": "x"}
    for what in ("chat", "responses"):
        assert set(map(whole, await javascript.run("openai.mjs", {"what": what, **asked}))) == {ALL_TEXT}
