"""The demo model as the openai SDK sees it: a real process and the real client."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.chat import ChatCompletionChunk

from tests.support.raw_http import request
from tests.support.stack import ModelProcess, demo
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WITHIN_S = 10.0

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 2},
                "units": {"enum": ["metric", "imperial"]},
            },
            "required": ["city", "days", "units"],
        },
    },
}


@pytest.fixture(scope="module")
async def model(anyio_backend: str) -> AsyncIterator[ModelProcess]:
    process = ModelProcess()
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def client(model: ModelProcess) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{model.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def stream(client: AsyncOpenAI, name: str, **fields: Any) -> list[ChatCompletionChunk]:
    """All chunks of one streamed answer."""
    fields.setdefault("messages", [{"role": "user", "content": "Why is the sea blue?"}])
    chunks = await client.chat.completions.create(model=name, stream=True, **fields)
    return [chunk async for chunk in chunks]


async def whole(client: AsyncOpenAI, name: str, **fields: Any) -> Any:
    """The same answer, not streamed."""
    fields.setdefault("messages", [{"role": "user", "content": "Why is the sea blue?"}])
    return await client.chat.completions.create(model=name, **fields)


def text_of(chunks: list[ChatCompletionChunk], kind: str = "content") -> list[str]:
    """The non-empty pieces of one kind."""
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return [piece for delta in deltas if (piece := getattr(delta, kind, None))]


def finish_of(chunks: list[ChatCompletionChunk]) -> list[str]:
    """All finish reasons in these chunks; one is expected."""
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


async def last_request(model: ModelProcess, name: str) -> dict[str, Any]:
    """The model's record of the last request for this name."""
    return (await model.requests(name))[-1]


async def test_a_stream_has_exactly_the_requested_deltas_and_one_finish(client: AsyncOpenAI) -> None:
    """As many pieces as `tokens` says, under one id, and a single finish reason."""
    chunks = await stream(client, demo(tokens=40, pace_s=0))
    assert len(text_of(chunks)) == 40
    assert finish_of(chunks) == ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {"chat.completion.chunk"} == {chunk.object for chunk in chunks}
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_default_answer_repeats_the_prompt_and_never_changes(client: AsyncOpenAI) -> None:
    """Another seed gives another answer."""
    first, again = [text_of(await stream(client, demo(pace_s=0))) for _ in range(2)]
    assert "Why is the sea blue?" in "".join(first)
    assert first == again
    assert first != text_of(await stream(client, demo(pace_s=0, seed=3)))


async def test_pace_and_first_delay_take_their_time(client: AsyncOpenAI) -> None:
    """The whole stream takes at least the first delay and all pauses."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await stream(client, demo(tokens=11, pace_s=0.03, first_s=0.2))
    assert loop.time() - began >= 0.45


async def test_usage_comes_last_and_only_if_requested(client: AsyncOpenAI) -> None:
    """Its chunk has no choices; without `include_usage` no chunk has usage."""
    chunks = await stream(client, demo(tokens=7, pace_s=0), stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.usage is None for chunk in await stream(client, demo(tokens=7, pace_s=0)))


async def test_usage_can_be_withheld_despite_the_request(client: AsyncOpenAI) -> None:
    """With `usage=0` it is missing, streamed and whole."""
    name = demo(tokens=3, pace_s=0, usage=0)
    chunks = await stream(client, name, stream_options={"include_usage": True})
    assert all(chunk.usage is None for chunk in chunks)
    assert (await whole(client, name)).usage is None


async def test_the_reasoning_comes_before_the_content(client: AsyncOpenAI) -> None:
    """All pieces of one, then all pieces of the other."""
    chunks = await stream(client, demo(tokens=5, reasoning=20, pace_s=0))
    kinds = [
        "reasoning" if getattr(choice.delta, "reasoning_content", None) else "content"
        for chunk in chunks
        for choice in chunk.choices
        if getattr(choice.delta, "reasoning_content", None) or choice.delta.content
    ]
    assert kinds == ["reasoning"] * 20 + ["content"] * 5


async def test_a_refusal_replaces_the_content(client: AsyncOpenAI) -> None:
    """No piece of content comes beside it."""
    chunks = await stream(client, demo(refusal=6, pace_s=0))
    assert len(text_of(chunks, "refusal")) == 6
    assert text_of(chunks) == []


async def test_parallel_tool_calls_stream_arguments_that_satisfy_the_schema(client: AsyncOpenAI) -> None:
    """Each call has its own index and id, and its arguments come in several pieces."""
    chunks = await stream(client, demo(tools=3, pace_s=0), tools=[WEATHER])
    pieces = [piece for chunk in chunks for choice in chunk.choices for piece in choice.delta.tool_calls or []]
    assert finish_of(chunks) == ["tool_calls"]
    assert {0, 1, 2} == {piece.index for piece in pieces}
    assert len({piece.id for piece in pieces if piece.id}) == 3
    for index in range(3):
        mine = [piece.function for piece in pieces if piece.index == index]
        assert [function.name for function in mine if function and function.name] == ["weather"]
        parts = [function.arguments or "" for function in mine if function]
        arguments = json.loads("".join(parts))
        assert len(parts) > 3
        assert arguments["city"]
        assert arguments["days"] >= 2
        assert arguments["units"] == "metric"


async def test_a_tool_result_is_answered_with_text(client: AsyncOpenAI) -> None:
    """After a result the model calls no tool again."""
    name = demo(tools=1, pace_s=0)
    call = (await whole(client, name, tools=[WEATHER])).choices[0].message
    messages = [
        {"role": "user", "content": "Rain?"},
        call,
        {"role": "tool", "tool_call_id": "1", "content": "no"},
    ]
    chunks = await stream(client, name, tools=[WEATHER], messages=messages)
    assert finish_of(chunks) == ["stop"]
    assert text_of(chunks)


async def test_a_request_without_tools_gets_no_call(client: AsyncOpenAI) -> None:
    """The model stops with text, although its name wants two calls."""
    assert finish_of(await stream(client, demo(tools=2, tokens=3, pace_s=0))) == ["stop"]


@pytest.mark.parametrize("tokens", [None, 3, 400])
async def test_json_mode_streams_one_valid_document(client: AsyncOpenAI, tokens: int | None) -> None:
    """In as many pieces as requested, or in more than ten."""
    name = demo(pace_s=0) if tokens is None else demo(pace_s=0, tokens=tokens)
    pieces = text_of(await stream(client, name, response_format={"type": "json_object"}))
    assert isinstance(json.loads("".join(pieces)), dict)
    assert len(pieces) > 10 if tokens is None else len(pieces) == tokens


async def test_a_json_schema_is_satisfied(client: AsyncOpenAI) -> None:
    """With required fields, a minimum of items and a recursive reference."""
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3},
            "node": {"$ref": "#/$defs/node"},
        },
        "required": ["title", "tags", "node"],
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    }
    response_format = {"type": "json_schema", "json_schema": {"name": "page", "strict": True, "schema": schema}}
    pieces = text_of(await stream(client, demo(pace_s=0), response_format=response_format))
    document = json.loads("".join(pieces))
    assert {"title", "tags", "node"} == document.keys()
    assert len(document["tags"]) == 3


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (demo(pace_s=0, tokens=30, reasoning=4), {}),
        (demo(pace_s=0, refusal=4), {}),
        (demo(pace_s=0, tools=2), {"tools": [WEATHER]}),
        (demo(pace_s=0), {"response_format": {"type": "json_object"}}),
        (demo(pace_s=0), {"max_tokens": 9}),
    ],
)
async def test_a_whole_answer_equals_a_streamed_one(client: AsyncOpenAI, name: str, fields: dict[str, Any]) -> None:
    """In every field: text, reasoning, refusal, calls, finish reason and usage."""
    chunks = await stream(client, name, stream_options={"include_usage": True}, **fields)
    answer = await whole(client, name, **fields)
    message = answer.choices[0].message
    for kind in ("content", "reasoning_content", "refusal"):
        assert "".join(text_of(chunks, kind)) == (getattr(message, kind, None) or "")
    pieces = [piece for chunk in chunks for choice in chunk.choices for piece in choice.delta.tool_calls or []]
    for index, call in enumerate(message.tool_calls or []):
        mine = [piece for piece in pieces if piece.index == index]
        assert call.id == mine[0].id
        assert call.function.arguments == "".join(piece.function.arguments or "" for piece in mine if piece.function)
    assert finish_of(chunks) == [answer.choices[0].finish_reason]
    assert chunks[-1].usage == answer.usage


async def test_max_tokens_cuts_the_answer_and_says_length(client: AsyncOpenAI) -> None:
    """As many pieces as allowed, and the finish reason `length`."""
    chunks = await stream(client, demo(pace_s=0), max_tokens=9)
    assert len(text_of(chunks)) == 9
    assert finish_of(chunks) == ["length"]


async def test_the_finish_reason_can_be_chosen(client: AsyncOpenAI) -> None:
    """By `finish` in the name of the model."""
    assert finish_of(await stream(client, demo(pace_s=0, tokens=2, finish="content_filter"))) == ["content_filter"]


async def test_pieces_have_the_requested_size(client: AsyncOpenAI) -> None:
    """By `chars` in the name of the model."""
    pieces = text_of(await stream(client, demo(pace_s=0, tokens=3, chars=20_000)))
    assert [len(piece) for piece in pieces] == [20_000] * 3


async def test_a_gate_holds_the_stream_until_it_opens_and_stays_open(client: AsyncOpenAI, model: ModelProcess) -> None:
    """A later stream passes it at once."""
    name = demo(pace_s=0, tokens=10, gate="held", gate_after=4)
    chunks = await client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "Wait"}], stream=True
    )
    received = [await anext(chunks) for _ in range(5)]
    await until(lambda: at_gate(model, name), WITHIN_S, "stream at its gate")
    assert len(text_of(received)) == 4
    await model.open_gate("held")
    assert len(text_of([chunk async for chunk in chunks])) == 6
    assert len(text_of(await stream(client, name))) == 10
    assert (await last_request(model, name))["end"] == "finished"


async def test_a_gate_before_the_first_piece_holds_everything(client: AsyncOpenAI, model: ModelProcess) -> None:
    """Without `gate_after` not even a chunk is sent."""
    name = demo(pace_s=0, tokens=2, reasoning=2, gate="mute")
    streaming = asyncio.ensure_future(stream(client, name))
    await until(lambda: at_gate(model, name), WITHIN_S, "stream at its gate")
    assert (await last_request(model, name))["chunks_sent"] == 0
    await model.open_gate("mute")
    assert len(text_of(await streaming)) == 2


async def test_a_client_that_leaves_is_noticed_while_the_stream_is_silent(model: ModelProcess) -> None:
    """The record of its request has the end, what was sent, and the times in order."""
    name = demo(pace_s=0, tokens=10, gate="never", gate_after=3)
    async with AsyncOpenAI(base_url=f"{model.url}/v1", api_key="any", max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Leave"}], stream=True, user="someone"
        )
        await until(lambda: at_gate(model, name), WITHIN_S, "stream at its gate")
        await chunks.close()

    async def gone() -> bool:
        return bool((await last_request(model, name))["end"] == "client_closed")

    await until(gone, 1.0, "the model sees its client leave")
    record = await last_request(model, name)
    assert record["chunks_sent"] == 3
    assert record["user"] == "someone"
    assert record["prompt"] == "Leave"
    assert record["opened_monotonic"] <= record["first_token_monotonic"] <= record["closed_monotonic"]


async def test_a_reader_that_stops_reading_stops_the_model(model: ModelProcess) -> None:
    """The model waits with its output until the client leaves, and counts the time."""
    name = demo(pace_s=0, tokens=200_000)
    host, port = "127.0.0.1", model.port
    reader, writer = await asyncio.open_connection(host, port, limit=1_024)
    body = json.dumps({"model": name, "stream": True, "messages": [{"role": "user", "content": "Flood"}]}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await reader.readline()
    sent = -1

    async def has_stopped() -> bool:
        nonlocal sent
        before, sent = sent, (await last_request(model, name))["chunks_sent"]
        return bool(before == sent > 0)

    await until(has_stopped, WITHIN_S, "the model stops writing", every_s=0.2)
    assert sent < 200_000
    writer.close()

    async def gone() -> bool:
        return bool((await last_request(model, name))["end"] == "client_closed")

    await until(gone, WITHIN_S, "the model sees its client leave")
    assert (await last_request(model, name))["blocked_s"] > 0


async def test_an_unknown_model_and_bad_parameters_are_refused_as_openai_does(client: AsyncOpenAI) -> None:
    """With the exceptions of the SDK, which name the parameter."""
    with pytest.raises(NotFoundError) as unknown:
        await stream(client, "gpt-9")
    assert unknown.value.code == "model_not_found"
    for name in ("demo;pase_s=1", "demo;tokens=-1", "demo;tokens=many", "demo;finish=soon", "demo;chars=0"):
        with pytest.raises(BadRequestError) as refused:
            await stream(client, name)
        assert refused.value.param == "model"
    with pytest.raises(BadRequestError) as several:
        await stream(client, "demo", n=2)
    assert several.value.param == "n"


async def test_the_model_is_listed(client: AsyncOpenAI) -> None:
    """It is the only one."""
    assert [model.id async for model in client.models.list()] == ["demo"]


async def test_a_body_that_is_not_json_is_refused(model: ModelProcess) -> None:
    """With status 400, and an error in the format of OpenAI."""
    response = await request("POST", f"{model.url}/v1/chat/completions", body=b"{not json")
    assert response.status == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def at_gate(model: ModelProcess, name: str) -> bool:
    """Whether the last stream of this name waits at its gate."""
    records = await model.requests(name)
    return bool(records) and records[-1]["at_gate"] is not None
