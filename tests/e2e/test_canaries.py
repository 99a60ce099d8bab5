"""Secrets that must never turn up elsewhere: a prompt, an API key, a token."""

import secrets

import pytest
from redis.asyncio import Redis

from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_stream
from tests.support.stack import Stack, chat, demo
from tests.support.tenants import AUTH, api_key, bearer, parts_of
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R63")]


async def _contents(redis: Redis, words: str) -> list[bytes]:
    """The keys that contain these words, whatever their type: DUMP gives the bytes of every type."""
    matches = []
    async for key in redis.scan_iter():
        dumped = await redis.dump(key)
        if words.encode() in key or (dumped and words.encode() in dumped):
            matches.append(key)
    return matches


async def test_a_prompt_and_a_secret_are_where_they_belong_and_nowhere_else() -> None:
    """The prompt is in its own key until it is deleted, then in no key, nor in the file once it is rewritten. It is
    never in the queue, a log or an error. The key and the token are nowhere."""
    prompt, server = f"canary-{secrets.token_hex(16)}", RedisServer(options=["--rdbcompression", "no"])
    await server.start()
    async with Stack(redis=server, settings=AUTH) as stack, Redis.from_url(server.url) as redis:
        key = await api_key(stack, "acme")
        made = (
            await stack.post(chat(demo(pace_s=0.02, tokens=100_000), prompt, token="view"), headers=bearer(key))
        ).json()
        token, own = made["token"]["token"], f"{stack.urls[0]}/v1/generations/{made['id']}"
        async with open_stream("GET", f"{own}/events?token={token}") as stream:
            async for frame in stream:
                if frame.event == "token":
                    break
        assert await _contents(redis, prompt) == [stack.keys.request(made["id"]).encode()]

        responses = [
            await stack.post({"messages": prompt}, headers=bearer(key)),
            await stack.post(prompt.encode(), headers=[*bearer(key), ("Content-Type", "application/json")]),
            await request("GET", f"{own}/events?token={token}x{prompt}"),
            await request("GET", f"{own}?after={prompt}", headers=bearer(f"{key}x")),
            await request("GET", f"{stack.urls[0]}/openapi.json"),
            await request("GET", f"{stack.urls[0]}/metrics"),
        ]
        assert (await request("DELETE", own, headers=bearer(key))).status == 204

        async def gone() -> bool:
            return not await _contents(redis, prompt)

        await until(gone, 10.0, "the prompt gone from Redis")
        await redis.bgrewriteaof()

        async def rewritten() -> bool:
            info = await redis.info("persistence")
            return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

        await until(rewritten, 20.0, "the file rewritten")
        on_disk = b"".join(path.read_bytes() for path in server.directory.rglob("*") if path.is_file())
        assert prompt.encode() not in on_disk
        for secret in (parts_of(key).secret, token):
            assert await _contents(redis, secret) == []
            assert secret.encode() not in on_disk
        printed = "".join(process.output() for process in (*stack.apis, *stack.workers))
        for secret in (prompt, parts_of(key).secret, token):
            assert secret not in printed
            assert not [answer for answer in responses if secret.encode() in answer.body]
    await server.stop()
