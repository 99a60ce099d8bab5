"""Every way to watch a generation refuses for the same reasons, each in the words of its clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.support.metrics_reading import scrape
from tests.support.raw_http import exchange
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events, open_stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tenants import AUTH, Bearer, api_key, bearer
from tests.support.waiting import until
from tests.support.websocket_viewer import open_socket

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R58")]

SLOW: Final = demo(pace_s=0.05, tokens=100_000)
PER_PROCESS, PER_GENERATION, PER_ADDRESS = 3, 2, 1
LIMITS: Final = {
    "viewers": PER_PROCESS,
    "viewers_per_generation": PER_GENERATION,
    "viewers_per_address": PER_ADDRESS,
    "proxies": "127.0.0.0/8",
    "tenant_requests": 100_000,
}
HERE: Final = "10.0.0.9"

EXISTING: Final = ("events", "socket", "chat stream", "responses stream", "chat whole")
"""Ways to watch what exists."""
NEW: Final = ("post", "post chat stream", "post chat whole", "post responses stream", "post responses whole")
"""Ways to create and watch."""


@dataclass(frozen=True)
class Outcome:
    """A status, or a WebSocket's close code, and the problem's code; `retry` of a stream that ended at once."""

    status: int
    code: str = ""


@dataclass(frozen=True)
class Client:
    """One tenant at one address."""

    stack: Stack
    tenant: Bearer
    address: str = HERE

    @property
    def headers(self) -> Bearer:
        return [*self.tenant, ("X-Forwarded-For", self.address)]

    async def create(self, model: str = SLOW) -> str:
        made = await self.stack.post(chat(model), headers=self.tenant)
        assert made.status == 201, made
        return str(made.json()["id"])

    async def count(self) -> int:
        """Generations of this tenant."""
        async with exchange("GET", f"{self.stack.urls[0]}/v1/generations?limit=100", headers=self.tenant) as made:
            pieces = [piece async for piece in _pieces(made)]
        return len(_json(b"".join(pieces))["generations"])

    async def enter(self, way: str, generation_id: str, after: str | None = None) -> Outcome:
        """Watch what exists by this way."""
        url, digits = self.stack.urls[0], generation_id.removeprefix("gen_")
        match way:
            case "socket":
                async with open_socket(url, generation_id, after=after, headers=self.headers) as socket:
                    assert [frame async for frame in socket] == []
                    return Outcome(socket.code or 0)
            case "events":
                path = f"/v1/generations/{generation_id}/events?after={after or ''}"
            case "chat stream":
                path = f"/v1/chat/completions/chatcmpl-{digits}/stream?after={after or ''}"
            case "responses stream":
                path = f"/v1/responses/resp_{digits}?stream=true"
            case _:
                path = f"/v1/chat/completions/chatcmpl-{digits}"
        return await self._ask("GET", path, None, [])

    async def enter_new(self, way: str, key: str | None = None) -> Outcome:
        """Create and watch by this way."""
        headers: Bearer = [("Accept", "text/event-stream")] if way == "post" else []
        if key is not None:
            headers.append(("Idempotency-Key", key))
        if way == "post":
            return await self._ask("POST", "/v1/generations", chat(QUICK), headers)
        body = chat(QUICK) if "chat" in way else {"model": QUICK, "input": "Hello"}
        path = "/v1/chat/completions" if "chat" in way else "/v1/responses"
        return await self._ask("POST", path, body | {"stream": "stream" in way}, headers)

    async def _ask(self, method: str, path: str, body: Any, headers: Bearer) -> Outcome:
        url = self.stack.urls[0] + path
        async with (
            asyncio.timeout(20.0),
            open_stream(method, url, headers=[*self.headers, *headers], body=body) as made,
        ):
            if made.status != 200:
                problem = await made.problem()
                return Outcome(made.status, (problem.get("error") or problem)["code"] if problem else "")
            if made.headers["content-type"].startswith("text/event-stream"):
                frames = [frame async for frame in made]
                if not frames:
                    assert made.retry_ms, "says when to come again"
                    return Outcome(200, "retry")
            return Outcome(200)


async def _pieces(made: Any) -> AsyncIterator[bytes]:
    while piece := await made.read():
        yield piece


def _json(data: bytes) -> Any:
    return json.loads(data)


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    async with Stack(redis=redis_server, settings=AUTH | LIMITS) as stack:
        yield stack


@pytest.fixture
async def client(stack: Stack) -> Client:
    """A tenant of its own; and no viewer of the test before is left."""

    async def empty() -> bool:
        return (await scrape(stack.urls[0])).of("viewers") == 0

    await until(empty, 20.0, "all viewers have left")
    return Client(stack, bearer(await api_key(stack, unique())))


@asynccontextmanager
async def watched(client: Client, *places: tuple[str, str]) -> AsyncIterator[None]:
    """Somebody watches each generation from each address."""
    async with AsyncExitStack() as open_ones:
        for generation_id, address in places:
            headers = [*client.tenant, ("X-Forwarded-For", address)]
            stream = await open_ones.enter_async_context(
                open_events(client.stack.urls[0], generation_id, headers=headers)
            )
            assert (await anext(aiter(stream))).event == "queued"
        yield


@pytest.mark.parametrize("way", EXISTING)
async def test_a_full_process_sends_to_another(client: Client, way: str) -> None:
    """A native viewer by what makes an EventSource come again, the others by an error that they retry."""
    one, two = await client.create(), await client.create()
    sent_on = {"events": Outcome(200, "retry"), "socket": Outcome(1012)}
    async with watched(client, (one, "10.0.0.1"), (one, "10.0.0.2"), (two, "10.0.0.3")):
        assert await client.enter(way, two) == sent_on.get(way, Outcome(503, "too_many_viewers"))


@pytest.mark.parametrize("way", EXISTING)
@pytest.mark.parametrize("full", ["generation", "address"])
async def test_a_full_generation_or_address_refuses(client: Client, way: str, full: str) -> None:
    """Not for this process alone."""
    one, two = await client.create(), await client.create()
    places = [(one, "10.0.0.1"), (one, "10.0.0.2")] if full == "generation" else [(two, HERE)]
    async with watched(client, *places):
        refusal = Outcome(4429) if way == "socket" else Outcome(429, "too_many_viewers")
        assert await client.enter(way, one) == refusal


@pytest.mark.parametrize("way", NEW)
@pytest.mark.parametrize("full", ["process", "address"])
async def test_nothing_is_created_for_a_client_that_may_not_watch(client: Client, way: str, full: str) -> None:
    """It would be paid for, and its client would ask again."""
    one, two = await client.create(), await client.create()
    places = [(one, "10.0.0.1"), (one, "10.0.0.2"), (two, "10.0.0.3")] if full == "process" else [(one, HERE)]
    async with watched(client, *places):
        refused = await client.enter_new(way)
        assert refused == Outcome(503 if full == "process" else 429, "too_many_viewers")
    assert await client.count() == 2
    assert await client.enter_new(way) == Outcome(200)


@pytest.mark.parametrize("way", NEW)
async def test_a_key_of_a_full_generation_is_refused(client: Client, way: str) -> None:
    """What it made is full, whoever asks for it again."""
    key = unique()
    made = await client.stack.post(chat(SLOW), headers=[*client.tenant, ("Idempotency-Key", key)])
    one = made.json()["id"]
    async with watched(client, (one, "10.0.0.1"), (one, "10.0.0.2")):
        assert await client.enter_new(way, key) == Outcome(429, "too_many_viewers")


async def test_a_client_that_waits_is_a_viewer(client: Client) -> None:
    """From its address, of its generation, and of the process."""
    one = await client.create()
    waiting = asyncio.create_task(client.enter("chat whole", one))
    try:

        async def refused() -> bool:
            return await client.enter("chat stream", one) == Outcome(429, "too_many_viewers")

        await until(lambda: _viewers(client.stack, 1), 10.0, "it waits")
        assert await refused()
        async with watched(client, (one, "10.0.0.1")):
            assert await Client(client.stack, client.tenant, "10.0.0.2").enter("events", one) == Outcome(
                429, "too_many_viewers"
            )
    finally:
        waiting.cancel()
    await until(lambda: _viewers(client.stack, 0), 10.0, "it has left")


async def _viewers(stack: Stack, count: int) -> bool:
    return (await scrape(stack.urls[0])).of("viewers") == count


@pytest.mark.rule("R20")
@pytest.mark.parametrize("way", EXISTING)
async def test_what_cannot_be_watched_is_refused(client: Client, way: str) -> None:
    """Unknown and another tenant's alike; and what is gone."""
    other = Client(client.stack, bearer(await api_key(client.stack, unique())))
    missing = Outcome(4404) if way == "socket" else Outcome(404, "not_found")
    assert await client.enter(way, "gen_" + "0" * 32) == missing
    assert await client.enter(way, await other.create(QUICK)) == missing
    gone = await client.create(QUICK)
    async with exchange("DELETE", f"{client.stack.urls[0]}/v1/generations/{gone}", headers=client.tenant) as made:
        assert made.status == 204
    assert await client.enter(way, gone) == (Outcome(4410) if way == "socket" else Outcome(410, "gone"))


@pytest.mark.rule("R20")
@pytest.mark.parametrize(
    ("way", "ended"), [("events", Outcome(204)), ("socket", Outcome(1000)), ("chat stream", Outcome(204))]
)
async def test_at_the_terminal_there_is_nothing_more(client: Client, way: str, ended: Outcome) -> None:
    """On every way that resumes by a cursor."""
    generation_id = await client.create(QUICK)
    cursor = ""

    async def closed() -> bool:
        nonlocal cursor
        url = f"{client.stack.urls[0]}/v1/generations/{generation_id}"
        async with exchange("GET", url, headers=client.tenant) as made:
            snapshot = _json(b"".join([piece async for piece in _pieces(made)]))
        cursor = snapshot["cursor"]
        return bool(snapshot["status"] == "completed")

    await until(closed, 20.0, "it is complete")
    assert await client.enter(way, generation_id, cursor) == ended


@pytest.mark.rule("R20")
async def test_while_redis_is_away_every_way_says_so() -> None:
    """A native viewer comes again by itself; the others are told 503."""
    async with Stack(workers=0) as stack:
        client = Client(stack, [])
        generation_id = await client.create()
        stack.redis.kill()
        outcomes = {way: await client.enter(way, generation_id) for way in EXISTING}
        outcomes |= {way: await client.enter_new(way) for way in NEW}
    away = dict.fromkeys([*EXISTING, *NEW], Outcome(503, "log_unavailable"))
    assert outcomes == away | {"events": Outcome(200, "retry"), "socket": Outcome(1012)}
