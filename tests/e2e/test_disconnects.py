"""Viewers of two tenants who connect and drop at every moment, in their hundreds, while others go on working.

This is the class of bug that let strangers read each other's chats: if a command to Redis is cancelled between
request and reply, its reply must not go to the next user of that connection.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import pytest
from redis.asyncio import Redis

from outlive.shared.model.cursor import START
from tests.support.invariants import check_invariants
from tests.support.metrics_reading import scrape
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import events_url, open_events
from tests.support.stack import Stack, demo
from tests.support.tenants import AUTH, Bearer, api_key, bearer
from tests.support.transcript import Transcript
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

REDIS_CONNECTIONS: Final = 32
"""A process' pool may have opened so many (`shared/store/connect.py`), and keeps them."""

EACH_TENANT: Final = 4
WATCHERS: Final = 3
"""Of each generation, beside those who drop: they come back, and must have seen it all."""


class Tenant(NamedTuple):
    name: str
    headers: Bearer
    generations: dict[str, str]
    """Id -> the name of its model, which is nobody else's."""


class Site(NamedTuple):
    stack: Stack
    tenants: list[Tenant]
    chance: random.Random


@pytest.fixture
async def site(redis_server: RedisServer) -> AsyncIterator[Site]:
    """Answers that take a few seconds, on two processes."""
    often = {"tenant_requests": "1000000", "tenant_generations": "1000", "viewers_per_address": "10000", "retry_s": 0.1}
    async with Stack(apis=2, redis=redis_server, settings=AUTH | often) as stack:
        tenants: list[Tenant] = []
        for name in ("one", "two"):
            tenant = Tenant(name, bearer(await api_key(stack, name)), {})
            for n in range(EACH_TENANT):
                model = demo(pace_s=0.02, tokens=200, reasoning=20, seed=1_000 * len(tenants) + n)
                made = await _create(stack, tenant, model)
                tenant.generations[made] = model
            tenants.append(tenant)
        yield Site(stack, tenants, random.Random(12))


async def _create(stack: Stack, tenant: Tenant, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": f"of {tenant.name}"}]}
    answer = await stack.post(body, api=hash(model) % 2, headers=tenant.headers)
    assert (answer.status, answer.json()["model"]) == (201, model)
    return str(answer.json()["id"])


async def _drop(site: Site) -> None:
    """Open one connection and leave it at a random moment: in its head, before the response, in its catch-up, live, in
    a handshake, or behind several requests. What arrived until then is about this generation alone."""
    chance, tenant = site.chance, site.chance.choice(site.tenants)
    generation_id = chance.choice(list(tenant.generations))
    own = f"/v1/generations/{generation_id}"
    path = chance.choice(
        [events_url("", generation_id, fold=False), events_url("", generation_id), own, f"{own}/viewers"]
    )
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in tenant.headers)
    if chance.random() < 0.2:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        head = head.replace(path, f"{own}/ws") + f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}"
    request_bytes = f"{head}\r\n".encode() * chance.choice([1, 1, 1, 3])
    reader, writer = await asyncio.open_connection("127.0.0.1", chance.choice(site.stack.apis).port)
    try:
        writer.write(request_bytes[: chance.choice([5, len(request_bytes) - 2, *[len(request_bytes)] * 8])])
        received, wanted = b"", chance.choice([0, 0, 1, 200, 2_000, 20_000])
        try:
            async with asyncio.timeout(chance.choice([0.0, 0.001, 0.01, 0.1, 0.5])):
                while len(received) < wanted:
                    received += (piece := await reader.read(1_000))
                    if not piece:
                        break
        except (TimeoutError, ConnectionError):
            pass
    finally:
        writer.transport.abort()
    ids = set(re.findall(rb"gen_[0-9a-f]{32}", received))
    assert ids <= {generation_id.encode()}, (generation_id, received)
    models = {name for one in site.tenants for name in one.generations.values()}
    others = {name for name in models - {tenant.generations[generation_id]} if json.dumps(name).encode() in received}
    assert not others, (generation_id, received)


async def _drop_for_ever(site: Site) -> None:
    while True:
        await _drop(site)


async def _work(site: Site, tenant: Tenant) -> None:
    """Create, read and list; check that each response is for this request and this tenant."""
    n = 0
    while True:
        n += 1
        model = demo(pace_s=0, tokens=3, seed=f"{n}{'12'[tenant.name == 'two']}")
        made = await _create(site.stack, tenant, model)
        url = site.chance.choice(site.stack.urls)
        for generation_id, name in [(made, model), *tenant.generations.items()]:
            snapshot = (await request("GET", f"{url}/v1/generations/{generation_id}", headers=tenant.headers)).json()
            assert (snapshot["id"], snapshot["model"]) == (generation_id, name)
        page = (await request("GET", f"{url}/v1/generations?limit=3", headers=tenant.headers)).json()
        assert page["generations"][0]["id"] == made
        assert (await request("DELETE", f"{url}/v1/generations/{made}", headers=tenant.headers)).status == 204


async def _watch(site: Site, tenant: Tenant, generation_id: str, name: str) -> Transcript:
    """Watch to the end, over connections that it also drops."""
    transcript = Transcript(generation_id, name)
    while transcript.terminal is None:
        after = None if transcript.cursor == START else transcript.cursor
        url = site.chance.choice(site.stack.urls)
        async with open_events(url, generation_id, after=after, headers=tenant.headers) as stream:
            assert stream.status == 200
            patience = site.chance.randint(1, 60)
            async for frame in stream:
                transcript.saw(frame)
                patience -= 1
                if not patience and transcript.terminal is None:
                    stream.leave()
    return transcript


async def _storm(site: Site, droppers: int) -> list[tuple[Tenant, str, list[Transcript]]]:
    """Drop connections for as long as the answers take; any failure in it fails the test."""
    stormy: list[asyncio.Task[Any]] = [asyncio.create_task(_drop_for_ever(site)) for _ in range(droppers)]
    stormy += [asyncio.create_task(_work(site, tenant)) for tenant in site.tenants]
    seen = []
    watching = [
        (
            tenant,
            made,
            [asyncio.create_task(_watch(site, tenant, made, f"{tenant.name} {n}")) for n in range(WATCHERS)],
        )
        for tenant in site.tenants
        for made in tenant.generations
    ]
    everybody = asyncio.gather(*(task for _, _, tasks in watching for task in tasks))
    done, _ = await asyncio.wait([everybody, *stormy], timeout=90.0, return_when=asyncio.FIRST_COMPLETED)
    for task in stormy:
        task.cancel()
    ended = await asyncio.gather(*stormy, return_exceptions=True)
    faults = [fault for fault in ended if isinstance(fault, Exception)]
    assert not faults, faults
    assert everybody in done, "the answers came to no end"
    for tenant, made, tasks in watching:
        seen.append((tenant, made, [task.result() for task in tasks]))
    return seen


async def _check_calm(site: Site, before: list[int]) -> None:
    """Check that nothing is left: no viewer, no descriptor, and no connection to Redis except those of the pools."""
    for api, sockets in zip(site.stack.apis, before, strict=True):

        async def nobody(url: str = api.url) -> bool:
            now = await scrape(url)
            return now.of("viewers") == 0

        await until(nobody, 20.0, f"{api.name} without viewers")
        await until(lambda: api.descriptors <= sockets + REDIS_CONNECTIONS, 20.0, f"{api.name}'s sockets are closed")  # noqa: B023  # awaited here
        assert "[error]" not in api.whole_output()


async def _check_nobody_sees_what_is_anothers(site: Site, droppers: int) -> None:
    before = [api.descriptors for api in site.stack.apis]
    for tenant, made, transcripts in await _storm(site, droppers):
        snapshot = (await request("GET", f"{site.stack.urls[0]}/v1/generations/{made}", headers=tenant.headers)).json()
        check_invariants(transcripts, snapshot, await site.stack.log(made))
    await _check_calm(site, before)
    async with Redis.from_url(site.stack.redis.url) as redis:
        clients = await redis.client_list()
    # Processes: two APIs, a worker, and this test.
    assert len(clients) <= 3 * REDIS_CONNECTIONS + 2


@pytest.mark.rule("R8", "R47")
async def test_nobody_sees_what_is_anothers_however_many_drop(site: Site) -> None:
    """Forty viewers drop again and again."""
    await _check_nobody_sees_what_is_anothers(site, 40)


@pytest.mark.long
@pytest.mark.rule("R8", "R47")
async def test_nobody_sees_what_is_anothers_in_a_storm(site: Site) -> None:
    """Four hundred viewers drop again and again."""
    await _check_nobody_sees_what_is_anothers(site, 400)
