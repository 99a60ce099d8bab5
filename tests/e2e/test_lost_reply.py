"""A POST whose response never arrives, sent again to another process: one generation, one request to the provider."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.raw_http import Headers, Response, request
from tests.support.sse import open_stream
from tests.support.stack import Stack, chat, demo, unique
from tests.support.tcp_fault_proxy import CutConnection, TcpFaultProxy

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def cutting(stack: Stack, *, heard: bool) -> AsyncIterator[str]:
    """The address of the first API process, over a link that drops every response."""
    proxy = TcpFaultProxy(stack.apis[0].port, lambda: CutConnection(requests_pass=heard))
    await proxy.start()
    try:
        yield f"http://127.0.0.1:{proxy.port}"
    finally:
        await proxy.stop()


async def _lost(url: str, path: str, body: Any, headers: Headers) -> None:
    with pytest.raises(OSError, match=r"closed before it responded|reset"):
        await request("POST", url + path, headers=headers, body=body)


@pytest.mark.rule("R3", "R7")
@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("path", ["/v1/generations", "/v1/chat/completions", "/v1/responses"])
async def test_a_lost_reply_costs_nothing(stack: Stack, path: str, *, heard: bool) -> None:
    """Whether or not the first request had arrived, the second one gets the generation, and there is only one."""
    model, headers = demo(pace_s=0, tokens=4, seed=unique()), [("Idempotency-Key", unique())]
    body = {"model": model, "input": "x"} if path.endswith("responses") else chat(model)
    async with cutting(stack, heard=heard) as url:
        await _lost(url, path, body, headers)
    again = await request("POST", stack.urls[1] + path, headers=headers, body=body)
    twice = await request("POST", stack.urls[0] + path, headers=headers, body=body)
    if path == "/v1/generations":
        # The process that got the first request goes on, possibly after the second request.
        assert again.status in (200, 201)
        await stack.closed(again.json()["id"])
    assert {again.status, twice.status} <= {200, 201}
    assert again.headers["location"] == twice.headers["location"]
    assert len(await stack.model.requests(model)) == 1


@pytest.mark.rule("R3", "R7")
async def test_a_lost_stream_is_told_from_its_beginning(stack: Stack) -> None:
    """Requested as events with the same key: the whole answer, and one request to the provider."""
    model, headers = demo(pace_s=0.01, tokens=20, seed=unique()), [("Idempotency-Key", unique())]
    async with cutting(stack, heard=True) as url:
        await _lost(url, "/v1/generations", chat(model), [*headers, ("Accept", "text/event-stream")])
    async with open_stream("POST", f"{stack.urls[1]}/v1/generations", headers=headers, body=chat(model)) as stream:
        frames = [frame async for frame in stream]
    assert (frames[0].event, frames[-1].event) == ("queued", "completed")
    assert len(await stack.model.requests(model)) == 1


@pytest.mark.rule("R3", "R7")
async def test_fifty_at_once_of_which_half_lose_their_reply(stack: Stack) -> None:
    """Over two processes: all responses have the same id, and the provider gets one request."""
    model, headers = demo(pace_s=0, tokens=4, seed=unique()), [("Idempotency-Key", unique())]

    async def ask(url: str) -> Response | None:
        try:
            return await request("POST", f"{url}/v1/generations", headers=headers, body=chat(model))
        except OSError:
            return None

    async with cutting(stack, heard=True) as url:
        answers = await asyncio.gather(*(ask(url if n % 2 else stack.urls[n // 2 % 2]) for n in range(50)))
    arrived = [answer for answer in answers if answer is not None]
    assert len(arrived) == 25
    statuses = Counter(answer.status for answer in arrived)
    assert statuses[201] <= 1
    assert statuses[200] + statuses[201] == 25
    [generation_id] = {answer.json()["id"] for answer in arrived}
    await stack.closed(generation_id)
    assert len(await stack.model.requests(model)) == 1
