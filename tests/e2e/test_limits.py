"""How much a tenant may have and request at once, on real processes, without effect on other tenants."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.problem_responses import check_problem
from tests.support.raw_http import Ended, Response, request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tenants import AUTH, Bearer, api_key, bearer
from tests.support.waiting import until
from tests.support.websocket_viewer import open_socket

pytestmark = pytest.mark.anyio

SLOTS, REQUESTS, PER_GENERATION, PER_ADDRESS, PER_PROCESS = 3, 150, 3, 5, 7
LIMITS = {
    "tenant_generations": SLOTS,
    "tenant_requests": REQUESTS,
    "viewers_per_generation": PER_GENERATION,
    "viewers_per_address": PER_ADDRESS,
    "viewers": PER_PROCESS,
    "proxies": "127.0.0.0/8",
    "request_s": 1.5,
    "max_body_bytes": 20_000,
}
SLOW = demo(pace_s=0.05, tokens=100_000)


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    async with Stack(apis=2, redis=redis_server, settings=AUTH | LIMITS) as stack:
        yield stack


@pytest.fixture
async def tenant(stack: Stack) -> Bearer:
    """A tenant that only this test uses."""
    return bearer(await api_key(stack, unique()))


async def ask(stack: Stack, tenant: Bearer, method: str, path: str, api: int = 0) -> Response:
    return await request(method, f"{stack.urls[api]}/v1/generations{path}", headers=tenant)


async def create(stack: Stack, tenant: Bearer, model: str = SLOW) -> str:
    made = await stack.post(chat(model), headers=tenant)
    assert made.status == 201, made
    generation_id: str = made.json()["id"]
    return generation_id


@pytest.mark.rule("R55")
async def test_a_tenant_has_no_more_generations_at_once_than_it_may(stack: Stack, tenant: Bearer) -> None:
    """Of twenty requests at once over two processes three are accepted; the end of one frees a slot."""
    answers = await asyncio.gather(*(stack.post(chat(SLOW), api=i % 2, headers=tenant) for i in range(20)))
    assert Counter(answer.status for answer in answers) == {201: SLOTS, 429: 20 - SLOTS}
    refused = next(answer for answer in answers if answer.status == 429)
    check_problem(refused, 429, "too_many_generations")
    assert int(refused.headers["retry-after"]) > 0
    other = bearer(await api_key(stack, unique()))
    await create(stack, other, QUICK)

    made = [answer.json()["id"] for answer in answers if answer.status == 201]
    assert (await ask(stack, tenant, "POST", f"/{made[0]}/cancel")).status == 200
    again = await create(stack, tenant, QUICK)

    async def over() -> bool:
        return bool((await ask(stack, tenant, "GET", f"/{again}")).json()["status"] == "completed")

    await until(over, 20.0, "the fourth completed")
    await until(lambda: _made(stack, tenant), 10.0, "its slot was freed")
    for generation_id in made:
        await ask(stack, tenant, "DELETE", f"/{generation_id}")


async def _made(stack: Stack, tenant: Bearer) -> bool:
    return (await stack.post(chat(QUICK), headers=tenant)).status == 201


@pytest.mark.rule("R3")
async def test_fifty_posts_with_one_key_make_one_generation(stack: Stack, tenant: Bearer) -> None:
    """At once, over two processes: one id, one slot, one request to the provider; another body is a conflict."""
    model = demo(pace_s=0.05, tokens=100_000, seed=unique())
    headers = [("Idempotency-Key", unique()), *tenant]
    answers = await asyncio.gather(*(stack.post(chat(model), api=i % 2, headers=headers) for i in range(50)))
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 49}
    [generation_id] = {answer.json()["id"] for answer in answers}
    await until(lambda: stack.model.requests(model), 20.0, "the provider was asked")
    check_problem(await stack.post(chat(SLOW), headers=headers), 409, "idempotency_conflict")
    for _ in range(SLOTS - 1):
        await create(stack, tenant)
    # With all slots in use, a repeated request still gets its generation.
    assert (await stack.post(chat(model), api=1, headers=headers)).status == 200
    check_problem(await stack.post(chat(model), headers=tenant), 429, "too_many_generations")
    for one in (await ask(stack, tenant, "GET", "")).json()["generations"]:
        await ask(stack, tenant, "DELETE", f"/{one['id']}")
    assert len(await stack.model.requests(model)) == 1
    check_problem(await stack.post(chat(model), headers=headers), 410, "gone")
    assert generation_id


@pytest.mark.rule("R56")
async def test_requests_beyond_the_limit_are_told_when_to_come_again(stack: Stack, tenant: Bearer) -> None:
    """Every response says how many are left; streams, health and other tenants are not limited."""
    generation_id = await create(stack, tenant, QUICK)
    answers = [await ask(stack, tenant, "GET", "?limit=1", api=i % 2) for i in range(REQUESTS)]
    left = [int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]) for answer in answers]
    assert left == [*range(REQUESTS - 2, -1, -1), 0]
    assert answers[0].headers["ratelimit-policy"] == f'"requests";q={REQUESTS};w=60'
    check_problem(answers[-1], 429, "rate_limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60

    check_problem(await stack.post(chat(QUICK), headers=tenant), 429, "rate_limited")
    async with open_events(stack.urls[0], generation_id, headers=tenant) as stream:
        assert [frame async for frame in stream][-1].event == "completed"
    assert (await request("GET", f"{stack.urls[0]}/healthz")).status == 200
    other = bearer(await api_key(stack, unique()))
    assert (await ask(stack, other, "GET", "")).status == 200


@pytest.mark.rule("R56")
async def test_who_holds_a_link_uses_up_the_links_requests(stack: Stack, tenant: Bearer) -> None:
    """The holder of a link cannot use up the requests of its tenant."""
    made = (await stack.post(chat(QUICK, token="view"), headers=tenant)).json()
    holder = bearer(made["token"]["token"])
    answers = [await ask(stack, holder, "GET", f"/{made['id']}/viewers") for _ in range(REQUESTS + 1)]
    assert [answers[-2].status, answers[-1].status] == [200, 429]
    assert (await ask(stack, tenant, "GET", f"/{made['id']}")).status == 200


@pytest.mark.rule("R58")
async def test_viewers_beyond_a_limit_are_refused_or_sent_on(stack: Stack, tenant: Bearer) -> None:
    """429 for the limits of one generation and one address; at the limit of the process viewers are sent elsewhere.
    Viewers that watch notice nothing."""
    one, two, three = [await create(stack, tenant) for _ in range(3)]
    url = stack.urls[0]

    def at(address: str) -> Bearer:
        return [*tenant, ("X-Forwarded-For", f"6.6.6.6, {address}")]

    async with AsyncExitStack() as open_ones:

        async def watch(generation_id: str, address: str) -> int:
            stream = await open_ones.enter_async_context(open_events(url, generation_id, headers=at(address)))
            if stream.status == 200:
                watching.append(stream)
                await anext(aiter(stream))
            return stream.status

        watching: list[object] = []
        assert [await watch(one, "10.0.0.1") for _ in range(PER_GENERATION + 1)] == [200] * PER_GENERATION + [429]
        assert [await watch(two, "10.0.0.1") for _ in range(3)] == [200, 200, 429]
        async with open_socket(url, two, headers=at("10.0.0.1")) as socket:
            assert [frame async for frame in socket] == []
        assert socket.code == 4429
        assert [await watch(three, "10.0.0.2") for _ in range(2)] == [200, 200]
        assert len(watching) == PER_PROCESS
        async with open_events(url, three, headers=at("10.0.0.3")) as stream:
            assert [frame async for frame in stream] == []
            assert (stream.status, stream.ended) == (200, Ended.CLEAN)
            assert stream.retry_ms
        async with open_events(stack.urls[1], three, headers=at("10.0.0.3")) as stream:
            assert (await anext(aiter(stream))).event == "queued"

    async def again() -> bool:
        async with open_events(url, one, headers=at("10.0.0.1")) as stream:
            return stream.status == 200 and [await anext(aiter(stream))] != []

    await until(again, 10.0, "their slots are free", every_s=0.2)
    for generation_id in (one, two, three):
        await ask(stack, tenant, "DELETE", f"/{generation_id}")


@pytest.mark.rule("R59")
async def test_a_body_that_is_too_large_is_not_parsed(stack: Stack, tenant: Bearer) -> None:
    """413, whether or not it is JSON."""
    for body in (b"{" * 20_001, b'{"model":"' + b"x" * 20_001):
        headers = [*tenant, ("Content-Type", "application/json")]
        check_problem(await stack.post(body, headers=headers), 413, "payload_too_large")


@pytest.mark.rule("R59")
async def test_a_conversation_that_grows_too_large_goes_no_further(stack: Stack, tenant: Bearer) -> None:
    """Although each of its requests is small enough."""

    async def follow(**fields: str) -> Response:
        body = {"model": QUICK, "input": "x" * 12_000, **fields}
        return await request("POST", f"{stack.urls[0]}/v1/responses", headers=tenant, body=body)

    first = await follow()
    assert first.status == 200, first
    refused = await follow(previous_response_id=first.json()["id"])
    assert (refused.status, refused.json()["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.rule("R56")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "asked"), [("chat/completions", chat(QUICK)), ("responses", {"model": QUICK, "input": "x"})]
)
async def test_openais_clients_are_told_what_is_left_as_well(
    stack: Stack, tenant: Bearer, path: str, asked: dict[str, Any], stream: bool
) -> None:
    """On successful responses, whole or streamed, and on failed ones."""
    url = f"{stack.urls[0]}/v1/{path}"
    whole = await request("POST", url, headers=tenant, body=asked | {"stream": stream})
    refused = await request("POST", url, headers=tenant, body={})
    assert (whole.status, refused.status) == (200, 400)
    remaining = [answer.headers["ratelimit"].split(";t=")[0] for answer in (whole, refused)]
    assert remaining == [f'"requests";r={REQUESTS - n}' for n in (1, 2)]
    assert whole.headers["ratelimit-policy"] == f'"requests";q={REQUESTS};w=60'


@pytest.mark.rule("R59")
@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 17_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"GET /" + b"x" * 17_000,
        b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 60_000,
        b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 4_000_000,
    ],
)
async def test_a_head_without_end_is_refused(stack: Stack, head: bytes) -> None:
    """431 before all of it is held, also to a client that still sends."""
    status, body = await _raw(stack, head)
    assert b" 431 " in status
    assert b"head_too_large" in body


@pytest.mark.rule("R59")
async def test_what_is_no_request_is_told_so(stack: Stack) -> None:
    """In the format of every other error."""
    status, body = await _raw(stack, b"\x16\x03\x01 hello\r\n\r\n")
    assert b" 400 " in status
    assert b'"code":"bad_request"' in body


@pytest.mark.rule("R59")
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"POST /v1/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
)
async def test_a_request_that_never_arrives_is_closed(stack: Stack, sent: bytes) -> None:
    """Silent, slow in its head, or slow in its body: fifty at once hold nothing for longer than `request_s`."""
    host, port = stack.urls[0].removeprefix("http://").split(":")
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
    try:
        for _, writer in connections:
            writer.write(sent)
        async with asyncio.timeout(15.0):
            for reader, _ in connections:
                await reader.read()
        assert (await request("GET", f"{stack.urls[0]}/healthz")).status == 200
    finally:
        for _, writer in connections:
            writer.close()


async def _raw(stack: Stack, sent: bytes) -> tuple[bytes, bytes]:
    """The status line and the rest of the response to these bytes."""
    host, port = stack.urls[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        async with asyncio.timeout(10.0):
            answer = await reader.read()
    finally:
        writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return status, rest
