"""Creating a generation: what the API returns, what it refuses, and that a repeated request creates only one."""

import asyncio
import json
from http.client import HTTPConnection

import pytest

from tests.support.invariants import check_invariants
from tests.support.problem_responses import check_problem
from tests.support.raw_http import Ended, Response, request
from tests.support.sse import open_stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.transcript import Transcript

pytestmark = pytest.mark.anyio


async def test_create_says_what_was_made_and_where(stack: Stack) -> None:
    """201 with id, status, model, time and working addresses, on every process."""
    answer = await stack.post(chat(QUICK))
    made = answer.json()

    assert answer.status == 201
    assert set(made) == {"id", "status", "model", "created_at", "urls"}
    assert made["id"].startswith("gen_")
    assert made["status"] == "queued"
    assert made["model"] == QUICK
    assert set(made["urls"]) == {"self", "events", "cancel"}
    own = f"/v1/generations/{made['id']}"
    assert made["urls"] == {"self": own, "events": f"{own}/events", "cancel": f"{own}/cancel"}
    assert answer.headers["location"] == made["urls"]["self"]
    for api in (0, 1):
        assert (await request("GET", stack.urls[api] + answer.headers["location"])).status == 200


@pytest.mark.rule("R3")
async def test_the_same_idempotency_key_finds_the_same_generation(stack: Stack) -> None:
    """200 instead of 201, the same id from either process, and one request to the model."""
    model = demo(pace_s=0, tokens=3, seed=unique())
    headers = [("Idempotency-Key", unique())]
    answers = [await stack.post(chat(model), api=api, headers=headers) for api in (0, 1, 0)]
    await stack.closed(answers[0].json()["id"])

    assert [answer.status for answer in answers] == [201, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await stack.model.requests(model)) == 1


@pytest.mark.rule("R3")
async def test_the_same_idempotency_key_with_another_body_is_a_conflict(stack: Stack) -> None:
    """409, and the first generation is unchanged."""
    headers = [("Idempotency-Key", unique())]
    first = await stack.post(chat(QUICK), headers=headers)
    second = await stack.post(chat(QUICK, "Another question?"), api=1, headers=headers)

    assert first.status == 201
    check_problem(second, 409, "idempotency_conflict")


async def test_a_create_that_accepts_events_answers_with_the_stream(stack: Stack) -> None:
    """One request from the prompt to the last token; its Location leads to the generation."""
    async with open_stream("POST", f"{stack.urls[0]}/v1/generations", body=chat(QUICK)) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
        location = stream.headers["location"]
        frames = [frame async for frame in stream]
        assert stream.ended is Ended.CLEAN

    generation_id = location.rpartition("/")[2]
    transcript = Transcript(generation_id)
    for frame in frames:
        transcript.saw(frame)
    snapshot = (await request("GET", stack.urls[1] + location)).json()
    check_invariants([transcript], snapshot, await stack.log(generation_id))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"model": "demo"}',
        b'{"messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "demo", "messages": []}',
        b'{"model": "demo", "messages": "x"}',
        b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "demo", "messages": [{"role": "user", "content": "x"}], "deadline_s": -1}',
        b'{"model": "demo", "messages": [{"role": "user", "content": "x"}], "on_interrupt": "maybe"}',
        b"\xff\xfe",
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(stack: Stack, body: bytes) -> None:
    """400 with the reason, never 500."""
    headers = [("Content-Type", "application/json")]
    check_problem(await stack.post(body, headers=headers), 400, "bad_request")


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["keep-alive", "close"])
async def test_a_body_that_is_too_large_is_refused(stack: Stack, headers: dict[str, str]) -> None:
    """413 before the API parses it, also for a client that still sends and then wants its connection closed."""

    def post() -> Response:
        connection = HTTPConnection(stack.urls[0].removeprefix("http://"), timeout=20.0)
        try:
            body = json.dumps(chat(QUICK, "x" * 21_000_000))
            connection.request("POST", "/v1/generations", body, headers | {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    check_problem(await asyncio.to_thread(post), 413, "payload_too_large")
