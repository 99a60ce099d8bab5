"""OpenAI's Python SDK on Chat Completions: it gets the same answers as from the provider, and loses none here."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.support.openai_sdk import accumulated, arguments, comparable
from tests.support.raw_http import request
from tests.support.sse import open_stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tools import calling
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class City(BaseModel):
    """What the typed helpers are asked for."""

    name: str
    people: int


SCHEMA = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}

ANSWERS: dict[str, dict[str, Any]] = {
    "text": arguments(demo(pace_s=0, tokens=40)),
    "reasoning": arguments(demo(pace_s=0, tokens=20, reasoning=10)),
    "refusal": arguments(demo(pace_s=0, refusal=6)),
    "calls": arguments(demo(pace_s=0, tools=2), tools=[calling("a", x=1), calling("b", y="two")]),
    "json": arguments(demo(pace_s=0), response_format=SCHEMA),
    "cut": arguments(demo(pace_s=0, tokens=20), max_tokens=5),
    "unicode": arguments(demo(pace_s=0, echo=1, chars=1), "é\u2028\x00 \U0001f30a\r\n\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_it_gets_what_the_provider_says(name: str, ours: AsyncOpenAI, provider: AsyncOpenAI) -> None:
    """Streamed and whole, the same through Outlive as without it, except for ids."""
    fields = ANSWERS[name]
    options = {"stream_options": {"include_usage": True}}

    assert await accumulated(ours, **fields, **options) == await accumulated(provider, **fields, **options)
    whole = [await sdk.chat.completions.create(**fields) for sdk in (ours, provider)]
    assert comparable(whole[0].to_dict()) == comparable(whole[1].to_dict())


async def test_the_typed_helper_parses_what_it_asked_for(ours: AsyncOpenAI) -> None:
    """Structured output, and the arguments of a function tool."""
    helper = ours.chat.completions
    async with helper.stream(**arguments(demo(pace_s=0)), response_format=City) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    tool = openai.pydantic_function_tool(City, name="visit")
    async with helper.stream(**arguments(demo(pace_s=0, tools=1)), tools=[tool]) as stream:
        called = (await stream.get_final_completion()).choices[0].message.tool_calls

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert isinstance(final.choices[0].message.parsed, City)
    assert called is not None
    assert isinstance(called[0].function.parsed_arguments, City)


@pytest.mark.rule("R53")
async def test_an_answer_is_an_ordinary_generation(stack: Stack, ours: AsyncOpenAI, other: AsyncOpenAI) -> None:
    """The headers name it; another client can watch it natively, on another process, at the same time."""
    gate = unique()
    model = demo(pace_s=0, tokens=20, gate=gate, gate_after=5)
    raw = await ours.chat.completions.with_raw_response.create(**arguments(model), stream=True)
    generation_id = raw.headers["x-outlive-generation"]
    watching = asyncio.create_task(Viewer(generation_id, [stack.urls[1]]).follow())
    await stack.model.open_gate(gate)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in raw.parse()])

    assert raw.headers["x-outlive-events"] == f"/v1/generations/{generation_id}/events"
    assert (await watching).reduce()["text"] == text == (await stack.snapshot(generation_id))["text"]
    stored = await other.chat.completions.retrieve(f"chatcmpl-{generation_id.removeprefix('gen_')}")
    assert stored.choices[0].message.content == text
    assert stored._request_id == generation_id


@pytest.mark.rule("R49")
async def test_a_cut_stream_goes_on_by_its_last_id_on_another_process(stack: Stack) -> None:
    """Cut after each of its frames in turn: together the pieces are the whole, and nothing comes twice."""
    body = chat(demo(pace_s=0, tokens=12, reasoning=2), stream=True, stream_options={"include_usage": True})
    async with open_stream("POST", f"{stack.urls[0]}/v1/chat/completions", body=body) as stream:
        generation_id = stream.headers["x-outlive-generation"]
        whole = [frame async for frame in stream]
    url = f"{stack.urls[1]}/v1/chat/completions/{generation_id}/stream?include_usage=true"

    ids = [frame.id or "" for frame in whole]
    for last in ids[:-1]:
        async with open_stream("GET", url, headers=[("Last-Event-ID", last)]) as stream:
            # The id of an event is on its own last frame, and then on the first frames of the next event.
            assert [frame.raw async for frame in stream] == [frame.raw for frame in whole[ids.index(last) + 1 :]]
    assert (await request("GET", url, headers=[("Last-Event-ID", whole[-1].id or "")])).status == 204


@pytest.mark.rule("R53")
async def test_leaving_stops_nothing_unless_that_was_wished(stack: Stack, provider: AsyncOpenAI) -> None:
    """By default the answer goes on; with the header the upstream is closed as well."""
    ended = {}
    for wish in ("continue", "cancel"):
        gate = unique()
        body = chat(demo(pace_s=0, tokens=9, gate=gate, gate_after=3), stream=True)
        headers = [("X-Outlive-On-Disconnect", wish)]
        async with open_stream("POST", f"{stack.urls[0]}/v1/chat/completions", headers=headers, body=body) as stream:
            generation_id = stream.headers["x-outlive-generation"]
            await anext(stream)
            stream.leave()
        if wish == "cancel":
            ended[wish] = (await stack.closed(generation_id))["status"]
        await stack.model.open_gate(gate)
        ended[wish] = (await stack.closed(generation_id))["status"]
    assert ended == {"continue": "completed", "cancel": "cancelled"}


@pytest.mark.parametrize("wish", ["continue", "cancel"])
async def test_a_client_that_waits_for_the_whole_may_leave_too(stack: Stack, wish: str, ours: AsyncOpenAI) -> None:
    """It has no stream to be cut; the end of its connection has the same effect."""
    gate, key = unique(), unique()
    model = demo(pace_s=0, tokens=9, seed=key, gate=gate, gate_after=3)
    headers = {"X-Outlive-On-Disconnect": wish}
    waiting = asyncio.create_task(ours.chat.completions.create(**arguments(model), extra_headers=headers))
    await until(lambda: stack.model.requests(model), 10, "the request at the model")
    generation_id = await _generation_of(stack, model)
    waiting.cancel()
    if wish == "continue":
        await stack.model.open_gate(gate)
    assert (await stack.closed(generation_id))["status"] == ("completed" if wish == "continue" else "cancelled")


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"messages": []}, openai.BadRequestError, None),
        ({"extra_headers": {"X-Outlive-On-Disconnect": "x"}}, openai.BadRequestError, "X-Outlive-On-Disconnect"),
        ({"model": "nobody"}, openai.BadRequestError, None),
        ({"model": demo(fault="429", retry_after_s=100)}, openai.RateLimitError, None),
    ],
)
async def test_what_is_refused_raises_its_own_error(
    fields: dict[str, Any], error: type[openai.APIStatusError], param: str | None, ours: AsyncOpenAI
) -> None:
    """In OpenAI's shape, with our code; and the SDK does not ask again for what was made and failed."""
    with pytest.raises(error) as refused:
        await ours.chat.completions.create(**arguments(QUICK) | fields)
    assert refused.value.param == param
    assert refused.value.code
    assert refused.value.type


async def test_a_failure_after_the_first_word_is_raised(ours: AsyncOpenAI) -> None:
    """By default nothing is retried on this wire: the text so far stays, and the error says that it is incomplete."""
    stream = await ours.chat.completions.create(**arguments(demo(pace_s=0, fault="reset", after=3)), stream=True)
    text, failed = await _until_raised(stream)
    assert failed.code == "upstream_connection"
    assert text


@pytest.mark.rule("R50")
async def test_a_new_attempt_is_raised_and_never_doubles_text(stack: Stack, ours: AsyncOpenAI) -> None:
    """If the caller asked for a new attempt."""
    model = demo(pace_s=0, tokens=9, fault="reset", after=3, times=1, seed=unique())
    wish = {"on_interrupt": "restart"}
    text, failed = await _until_raised(
        await ours.chat.completions.create(**arguments(model), stream=True, extra_body=wish)
    )
    snapshot = await stack.closed(await _generation_of(stack, model))
    assert failed.code == "new_attempt"
    assert snapshot["text"].startswith(text)
    assert snapshot["attempt"] == 2


async def test_a_cancelled_answer_is_raised(stack: Stack, ours: AsyncOpenAI) -> None:
    """By whichever client it was cancelled, on whichever wire."""
    model = demo(pace_s=0, tokens=9, gate=unique(), gate_after=3)
    raw = await ours.chat.completions.with_raw_response.create(**arguments(model), stream=True)
    await stack.cancel(raw.headers["x-outlive-generation"], api=1)
    _, failed = await _until_raised(raw.parse())
    assert failed.code == "cancelled"


@pytest.mark.rule("R3")
async def test_an_idempotency_key_finds_the_answer_again(stack: Stack, ours: AsyncOpenAI) -> None:
    """The SDKs send none by themselves; a header does."""
    model = demo(pace_s=0, tokens=5, seed=unique())
    headers = {"Idempotency-Key": unique()}
    first, second = [await ours.chat.completions.create(**arguments(model), extra_headers=headers) for _ in "12"]
    assert first == second
    assert len(await stack.model.requests(model)) == 1


async def _generation_of(stack: Stack, model: str) -> str:
    """The newest generation of this model."""
    listed = (await request("GET", f"{stack.urls[0]}/v1/generations?limit=50")).json()["generations"]
    stored: str = next(each["id"] for each in listed if each["model"] == model)
    return stored


async def _until_raised(stream: AsyncStream[ChatCompletionChunk]) -> tuple[str, openai.APIError]:
    """The text of a stream, and the exception at its end."""
    text = ""
    try:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as failed:
        return text, failed
    raise AssertionError(f"nothing was raised after {text!r}")
