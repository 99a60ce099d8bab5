"""OpenAI's SDK while processes die: it continues by number on another, and never takes half an answer for the whole."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.support import openai_sdk
from tests.support.redis_server import RedisServer
from tests.support.stack import PROMPT, Stack, demo, unique
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Feeds with a short window, and a short lease."""
    small = {"lease_s": 1, "feed_bytes": 16_384, "retry_s": 0.1}
    async with Stack(apis=2, redis=redis_server, settings=small) as running:
        yield running


@pytest.mark.rule("R51")
async def test_a_stream_goes_on_on_another_process_when_its_own_is_killed(stack: Stack) -> None:
    """From the last number; then the worker dies as well, and the response is that of the second attempt alone."""
    gate = unique()
    late = demo(pace_s=0.01, tokens=90, chars=100, gate=gate, gate_after=60)
    events: list[Any] = []
    async with openai_sdk.sdk_client(stack.urls[0]) as first, openai_sdk.sdk_client(stack.urls[1]) as second:
        stream = await first.responses.create(model=late, input=PROMPT, stream=True)

        async def read(stream: Any) -> None:
            async for event in stream:
                events.append(event)

        reading = asyncio.create_task(read(stream))
        await until(lambda: len(events) > 20, 10, "half an answer")
        stack.apis[0].kill()
        with pytest.raises(openai.APIConnectionError):
            await reading
        response_id = events[0].response.id
        going_on = await second.responses.retrieve(response_id, stream=True, starting_after=events[-1].sequence_number)
        reading = asyncio.create_task(read(going_on))
        await stack.start_worker()
        stack.workers[0].kill()
        await until(
            lambda: any(getattr(e, "item", None) and e.item.status == "incomplete" for e in events), 10, "an end"
        )
        await stack.model.open_gate(gate)
        await reading
        final = await second.responses.retrieve(response_id)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.status for item in done] == ["incomplete", "completed"]
    assert events[-1].response == final
    assert [item.id for item in final.output] == [done[-1].id]
    snapshot = await stack.snapshot(response_id.replace("resp_", "gen_"), api=1)
    assert snapshot["attempt"] == 2
    assert final.output_text == snapshot["text"]


@pytest.mark.rule("R50", "R52")
async def test_a_process_that_stops_tells_its_clients_that_this_is_not_the_end(stack: Stack) -> None:
    """The SDK would take a plain end of the stream for the whole; and on chat a lost worker ends the answer by
    default."""
    model = demo(pace_s=0, tokens=9, gate=unique(), gate_after=4)
    async with openai_sdk.sdk_client(stack.urls[0]) as first, openai_sdk.sdk_client(stack.urls[1]) as second:
        streams = [
            await each.chat.completions.create(**openai_sdk.arguments(model), stream=True) for each in (first, second)
        ]
        for stream in streams:
            await anext(aiter(stream))
        waiting = asyncio.create_task(first.chat.completions.create(**openai_sdk.arguments(model)))
        await until(lambda: _asked(stack, model, 3), 10, "three requests")
        stopping = asyncio.create_task(stack.apis[0].stop())
        raised = [await _raised(streams[0]), await _raised(waiting)]
        await stopping
        stack.workers[0].kill()
        raised.append(await _raised(streams[1]))
    assert [error.code for error in raised] == ["resume", "resume", "worker_lost"]


async def _asked(stack: Stack, model: str, count: int) -> bool:
    return len(await stack.model.requests(model)) == count


async def _raised(stream: Any) -> openai.APIError:
    try:
        if isinstance(stream, asyncio.Task):
            await stream
        else:
            async for _ in stream:
                pass
    except openai.APIError as error:
        return error
    raise AssertionError("nothing was raised")
