"""Large bodies, and what tenants store, on real processes: how much goes in, and whose is refused first."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from typing import Final

import pytest
from redis.asyncio import Redis

from tests.support.problem_responses import check_problem
from tests.support.raw_http import Response, request
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import ScriptedProvider, stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tenants import AUTH, Bearer, api_key, bearer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MAX_BODY, IN_FLIGHT, STORED, SLOTS = 300_000, 400_000, 1_000_000, 3
ANSWER: Final = stream({"content": "Water."}, {"finish": "stop"})
LIMITS: Final[dict[str, object]] = {
    **AUTH,
    "max_body_bytes": MAX_BODY,
    "bodies_in_flight_bytes": IN_FLIGHT,
    "tenant_stored_bytes": STORED,
    "tenant_generations": SLOTS,
    "request_s": 20.0,
    "lease_s": 1.0,
}
LARGE: Final = base64.b64encode(random.Random(1).randbytes(150_000)).decode()
"""Text that hardly any compression makes shorter."""


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    async with Stack(redis=redis_server, settings=LIMITS) as stack:
        yield stack


@pytest.fixture
async def tenant(stack: Stack) -> Bearer:
    """A tenant that only this test uses."""
    return bearer(await api_key(stack, unique()))


def _photo(size_bytes: int) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(random.Random(2).randbytes(size_bytes * 3 // 4)).decode()


@pytest.mark.rule("R59", "R84")
async def test_a_photo_reaches_the_provider_as_it_was_sent(redis_server: RedisServer) -> None:
    """With the settings' defaults, on two wires; in Redis it takes less room."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": _photo(20_000_000)}}]
    async with (
        ScriptedProvider() as provider,
        Stack(redis=redis_server, environ=provider.environ) as stack,
        Redis.from_url(redis_server.url) as redis,
    ):
        messages = [{"role": "user", "content": parts}]
        body = {"model": provider.model_that_says(ANSWER), "messages": messages}
        made = await stack.post(body)
        assert made.status == 201, made
        assert await redis.strlen(stack.keys.request(made.json()["id"])) < 16_000_000
        assert (await stack.closed(made.json()["id"]))["status"] == "completed"
        whole = await request("POST", f"{stack.urls[0]}/v1/chat/completions", body=body, within_s=30.0)
        assert whole.status == 200, whole
        assert [json.loads(asked.body)["messages"] == messages for asked in provider.requests] == [True, True]


@pytest.mark.rule("R84")
async def test_a_large_response_can_be_read_and_followed(redis_server: RedisServer) -> None:
    """Its request is read from where it is stored compressed."""
    async with ScriptedProvider() as provider, Stack(redis=redis_server, environ=provider.environ) as stack:
        url, text = f"{stack.urls[0]}/v1/responses", "Why is the sea blue? " * 20_000
        body = {"model": provider.model_that_says(ANSWER), "input": text, "instructions": "Be brief."}
        first = (await request("POST", url, body=body)).json()
        read = await request("GET", f"{url}/{first['id']}")
        assert (read.json()["status"], read.json()["instructions"]) == ("completed", "Be brief.")
        follow = body | {"input": "And green?", "previous_response_id": first["id"]}
        assert (await request("POST", url, body=follow)).status == 200
        asked = json.loads(provider.requests[-1].body)["messages"]
        assert [message["content"] for message in asked if message["role"] == "user"] == [text, "And green?"]


@pytest.mark.rule("R81")
async def test_bodies_beyond_what_a_process_holds_are_refused(stack: Stack, tenant: Bearer) -> None:
    """Short ones still fit; when the client that sends a long one has left, others do as well."""
    host, port = stack.urls[0].removeprefix("http://").split(":")
    head = b"POST /v1/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: {tenant[0][1]}\r\nContent-Length: {MAX_BODY}\r\n\r\n".encode()
    wanted = chat(QUICK, "x" * 150_000)

    async def refused() -> Response | None:
        """What a body gets while another client sends its own; None if it came before that was received."""
        _, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(head + b" " * (MAX_BODY - 1))
            await writer.drain()
            answer = await stack.post(wanted, headers=tenant)
            assert (await stack.post(chat(QUICK), headers=tenant)).status in (201, 429), "a short one fits"
        finally:
            writer.close()
        return answer if answer.status == 503 else None

    async def fits() -> bool:
        return (await stack.post(wanted, headers=tenant)).status == 201

    answer = await until(refused, 20.0, "a body does not fit")
    check_problem(answer, 503, "capacity")
    assert int(answer.headers["retry-after"]) > 0
    await until(fits, 10.0, "it fits again")


@pytest.mark.rule("R82")
async def test_a_tenant_that_fills_redis_is_refused_before_others(stack: Stack, tenant: Bearer) -> None:
    """With requests that the provider refuses, kept as long as possible; what it deletes is free again."""
    made: list[str] = []
    body = chat(demo(fault="400"), LARGE[:60_000], retention_s=86_400)

    async def refused() -> Response | None:
        answer = await stack.post(body, headers=tenant)
        if answer.status == 201:
            made.append(answer.json()["id"])
        return answer if answer.status == 429 and answer.json()["code"] == "too_much_stored" else None

    answer = await until(refused, 30.0, "the tenant stores too much")
    check_problem(answer, 429, "too_much_stored")
    assert int(answer.headers["retry-after"]) > 0
    assert len(made) == STORED // 62_500
    on_chat = await request("POST", f"{stack.urls[0]}/v1/chat/completions", headers=tenant, body=body)
    assert (on_chat.status, on_chat.json()["error"]["code"]) == (429, "too_much_stored")
    other = bearer(await api_key(stack, unique()))
    assert (await stack.post(body, headers=other)).status == 201

    deleted = await request("DELETE", f"{stack.urls[0]}/v1/generations/{made[0]}", headers=tenant)
    assert deleted.status == 204
    assert (await stack.post(body, headers=tenant)).status == 201


@pytest.mark.rule("R85")
async def test_a_create_that_fails_costs_its_tenant_no_place(redis_server: RedisServer) -> None:
    """Given back at once when the logs' Redis is full; after a lease when nobody knows whether it was created."""
    logs = RedisServer()
    await logs.start()
    try:
        environ = {"OUTLIVE_LOG_URL": logs.url}
        async with Stack(redis=redis_server, settings=LIMITS, environ=environ) as stack:
            name = unique()
            tenant = bearer(await api_key(stack, name))

            async def created() -> bool:
                return (await stack.post(chat(QUICK), headers=tenant)).status == 201

            async with Redis.from_url(redis_server.url) as queue:

                async def nothing_held() -> bool:
                    return bool(await queue.zcard(stack.keys.active_of(name)) == 0)

                async def refused_by_redis() -> bool:
                    """The API looks once a second whether Redis is full; create must come before the next look."""
                    await until(created, 10.0, "there is room")
                    await until(nothing_held, 10.0, "it ended")
                    async with Redis.from_url(logs.url) as full:
                        await full.config_set("maxmemory", 1)
                        answer = await stack.post(chat(QUICK), headers=tenant)
                        held = await queue.zcard(stack.keys.active_of(name))
                        await full.config_set("maxmemory", 0)
                    check_problem(answer, 503, "capacity")
                    assert held == 0
                    return "out of memory" in answer.json()["detail"]

                await until(refused_by_redis, 30.0, "create was refused")

            logs.kill()
            await logs.wait(10.0)
            for _ in range(SLOTS):
                check_problem(await stack.post(chat(QUICK), headers=tenant), 503, "log_unavailable")
            await logs.start()
            await until(created, 10.0, "its places are free")
    finally:
        await logs.stop()
