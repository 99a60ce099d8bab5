"""OpenAI's Python SDK on Responses: its helpers, continuing after any number, and how it sees the end."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from tests.support.openai_sdk import accumulated, arguments
from tests.support.sse import Frame, open_stream
from tests.support.stack import PROMPT, QUICK, Stack, demo, unique
from tests.support.tools import calling
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

VIEWERS = 20


class City(BaseModel):
    """What the typed helper is asked for."""

    name: str
    people: int


def flat(tool: dict[str, Any]) -> Any:
    """A function tool in the format of this API."""
    return {"type": "function", "strict": False, **tool["function"]}


ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"model": demo(pace_s=0, tokens=40)},
    "reasoning": {"model": demo(pace_s=0, tokens=20, reasoning=10)},
    "refusal": {"model": demo(pace_s=0, refusal=6)},
    "calls": {"model": demo(pace_s=0, tools=2), "tools": [calling("a", x=1), calling("b", y="two")]},
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_it_is_told_what_the_provider_says(ours: AsyncOpenAI, provider: AsyncOpenAI, name: str) -> None:
    """Streamed and whole: the answer that the same model gives by Chat Completions, and its usage."""
    fields = ANSWERS[name]
    usage = {"stream_options": {"include_usage": True}}
    chat = await accumulated(provider, **arguments(**fields), **usage)
    message = chat["choices"][0]["message"]
    mine = fields | {"tools": [flat(tool) for tool in fields.get("tools", ())]}
    whole = await ours.responses.create(input=PROMPT, **mine)
    async with ours.responses.stream(input=PROMPT, **mine) as stream:
        numbers = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()

    assert numbers == list(range(len(numbers)))
    for response in (whole, final):
        parts = [part for item in response.output if item.type == "message" for part in item.content]
        thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.content or ()]
        calls = [item for item in response.output if item.type == "function_call"]
        function_calls = [(call.call_id, call.name, call.arguments) for call in calls]
        assert response.output_text == (message.get("content") or "")
        assert "".join(part.refusal for part in parts if part.type == "refusal") == (message.get("refusal") or "")
        assert "".join(thoughts) == message.get("reasoning_content", "")
        assert function_calls == [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls", ())
        ]
        assert response.usage is not None
        assert response.usage.total_tokens == chat["usage"]["total_tokens"]


async def test_the_typed_helper_parses_what_it_asked_for(ours: AsyncOpenAI) -> None:
    """Structured output and the arguments of a function tool, streamed and whole."""
    model = demo(pace_s=0)
    parsed = await ours.responses.parse(model=model, input=PROMPT, text_format=City)
    async with ours.responses.stream(model=model, input=PROMPT, text_format=City) as stream:
        final = await stream.get_final_response()
    function = openai.pydantic_function_tool(City, name="visit")["function"]
    tool: Any = {"type": "function", **function}
    async with ours.responses.stream(model=demo(pace_s=0, tools=1), input=PROMPT, tools=[tool]) as stream:
        called = [event.arguments async for event in stream if event.type == "response.function_call_arguments.done"]

    assert isinstance(parsed.output_parsed, City)
    assert parsed.output_parsed == final.output_parsed
    assert City.model_validate_json(called[0])


@pytest.mark.rule("R51")
async def test_a_background_response_goes_on_after_every_number(
    stack: Stack, ours: AsyncOpenAI, other: AsyncOpenAI
) -> None:
    """Created on one process and continued on the other, while it runs and afterwards: the same bytes each time."""
    gate = unique()
    model = demo(pace_s=0, tokens=10, reasoning=2, gate=gate, gate_after=5)
    made = await ours.responses.create(model=model, input=PROMPT, background=True, metadata={"a": "b"})
    assert (made.background, made.metadata) == (True, {"a": "b"})
    early = asyncio.create_task(_numbers(other, made.id, 3))
    await stack.model.open_gate(gate)
    numbers = await early
    await stack.closed(made.id.replace("resp_", "gen_"))
    whole = await _raw(stack, 0, made.id, None)

    assert numbers == list(range(4, len(whole)))
    for number in range(len(whole)):
        for api in (0, 1):
            assert await _raw(stack, api, made.id, number) == whole[number + 1 :]
    final = await other.responses.retrieve(made.id)
    assert final.status == "completed"
    assert final.output_text


async def _numbers(sdk: AsyncOpenAI, response_id: str, after: int) -> list[int]:
    stream = await sdk.responses.retrieve(response_id, stream=True, starting_after=after)
    return [event.sequence_number async for event in stream]


async def _raw(stack: Stack, api: int, response_id: str, after: int | None) -> list[bytes]:
    query = "" if after is None else f"&starting_after={after}"
    async with open_stream("GET", f"{stack.urls[api]}/v1/responses/{response_id}?stream=true{query}") as stream:
        return [frame.raw async for frame in stream]


async def test_the_helper_follows_one_that_was_begun_before(ours: AsyncOpenAI, other: AsyncOpenAI) -> None:
    """It requests the stream from the beginning and drops what its user has seen."""
    made = await ours.responses.create(model=QUICK, input=PROMPT, background=True)
    async with other.responses.stream(response_id=made.id, starting_after=5) as stream:
        seen = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()
    assert seen[0] == 6
    assert final.output_text == (await ours.responses.retrieve(made.id)).output_text


@pytest.mark.rule("R18")
async def test_cancelling_twice_says_the_same_twice(stack: Stack, ours: AsyncOpenAI, other: AsyncOpenAI) -> None:
    """The stream ends as incomplete, with a cancelled response; polling sees it too."""
    made = await ours.responses.create(
        model=demo(pace_s=0, tokens=9, gate=unique(), gate_after=4), input=PROMPT, background=True
    )
    events: list[ResponseStreamEvent] = []

    async def watch() -> None:
        async for event in await other.responses.retrieve(made.id, stream=True):
            events.append(event)

    watching = asyncio.create_task(watch())
    await until(lambda: any(event.type == "response.output_text.delta" for event in events), 10, "text")
    first, second = await ours.responses.cancel(made.id), await other.responses.cancel(made.id)
    await watching
    last: Any = events[-1]

    assert first == second
    assert first.status == "cancelled"
    assert last.type == "response.incomplete"
    assert last.response.status == "cancelled"
    assert last.response.output[0].status == "incomplete"
    assert (await ours.responses.retrieve(made.id)).output_text == last.response.output_text != ""
    await ours.responses.delete(made.id)
    with pytest.raises(openai.APIStatusError) as gone:
        await other.responses.retrieve(made.id)
    assert gone.value.status_code == 410


async def test_a_response_follows_another(ours: AsyncOpenAI, other: AsyncOpenAI) -> None:
    """The provider gets the conversation so far, calls and their outputs, for as long as it is kept."""
    tools = [flat(calling("a", x=1))]
    first = await ours.responses.create(model=demo(pace_s=0, tools=1), input="Weather?", tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    second = await other.responses.create(
        model=demo(pace_s=0),
        previous_response_id=first.id,
        instructions="Be brief.",
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sun"}],
    )

    assert second.output_text.startswith("A tool said: sun")
    assert (second.previous_response_id, second.instructions) == (first.id, "Be brief.")
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    await ours.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await other.responses.create(model=QUICK, input="x", previous_response_id=first.id)
    assert refused.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"input": []}, openai.BadRequestError, "input"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, "tools[0]"),
        ({"model": demo(fault="429", retry_after_s=100)}, openai.RateLimitError, None),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": 3}}}},
            openai.BadRequestError,
            None,
        ),
    ],
)
async def test_what_is_refused_raises_its_own_error(
    ours: AsyncOpenAI, fields: dict[str, Any], error: type[openai.APIStatusError], param: str | None
) -> None:
    """In OpenAI's shape, with our code."""
    with pytest.raises(error) as refused:
        await ours.responses.create(**{"model": QUICK, "input": "x", **fields})
    assert refused.value.param == param
    assert refused.value.code


@pytest.mark.rule("R53")
async def test_twenty_viewers_on_three_wires_read_the_same_text(
    stack: Stack, ours: AsyncOpenAI, other: AsyncOpenAI
) -> None:
    """At the same time, on both processes, some from the start and some cut and resumed."""
    generation_id = await stack.create(demo(pace_s=0.004, tokens=300, reasoning=10))
    response_id = generation_id.replace("gen_", "resp_")

    async def by_chat(api: int) -> str:
        url = f"{stack.urls[api]}/v1/chat/completions/{generation_id}/stream"
        async with open_stream("GET", url) as stream:
            return "".join([_content(frame) async for frame in stream])

    async def by_responses(sdk: AsyncOpenAI) -> str:
        async with sdk.responses.stream(response_id=response_id) as stream:
            return (await stream.get_final_response()).output_text

    async def natively(seed: int) -> str:
        transcript = await Viewer(generation_id, stack.urls, seed=seed, leaves=2, reconnect_s=(0, 0.1)).follow()
        text: str = transcript.reduce()["text"]
        return text

    async with asyncio.TaskGroup() as tasks:
        reading = [
            tasks.create_task(
                by_chat(n % 2) if n % 3 == 0 else by_responses((ours, other)[n % 2]) if n % 3 == 1 else natively(n + 1)
            )
            for n in range(VIEWERS)
        ]
    texts = {task.result() for task in reading}
    assert texts == {(await stack.snapshot(generation_id))["text"]}


def _content(frame: Frame) -> str:
    return "" if frame.text == "[DONE]" else frame.data["choices"][0]["delta"].get("content") or ""
