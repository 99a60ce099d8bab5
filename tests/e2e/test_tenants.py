"""Tenants on real processes: a generation of another tenant looks like an unknown one, on every route."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from tests.support.problem_responses import check_problem
from tests.support.raw_http import Headers, Response, request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events, open_stream
from tests.support.stack import QUICK, Stack, chat, demo, unique
from tests.support.tenants import AUTH, api_key, bearer
from tests.support.waiting import until
from tests.support.websocket_viewer import open_socket

pytestmark = pytest.mark.anyio

UNKNOWN = "gen_" + "0" * 32
ROUTES: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("GET", "/events", None),
    ("GET", "/events?after=0-0&fold=false", None),
    ("GET", "/viewers", None),
    ("POST", "/cancel", None),
    ("POST", "/tokens", {}),
    ("DELETE", "", None),
]


class Site(NamedTuple):
    """Two tenants on one stack, and a finished generation of the first."""

    stack: Stack
    mine: str
    theirs: str
    generation_id: str

    async def ask(self, method: str, path: str, headers: Headers, body: object = None) -> Response:
        return await request(method, self.stack.urls[0] + path, headers=headers, body=body)

    async def create(self, model: str = QUICK, **fields: Any) -> str:
        """A generation of the first tenant."""
        made = await self.stack.post(chat(model, **fields), headers=bearer(self.mine))
        assert made.status == 201, made
        generation_id: str = made.json()["id"]
        return generation_id

    async def status(self, generation_id: str) -> str:
        status: str = (await self.ask("GET", f"/v1/generations/{generation_id}", bearer(self.mine))).json()["status"]
        return status


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer) -> AsyncIterator[Site]:
    async with Stack(redis=redis_server, settings=AUTH) as stack:
        made = Site(stack, await api_key(stack, "mine"), await api_key(stack, "theirs"), "")
        generation_id = await made.create()

        async def over() -> bool:
            return await made.status(generation_id) == "completed"

        await until(over, 20.0, "the generation completed")
        yield made._replace(generation_id=generation_id)


@pytest.mark.rule("R45")
@pytest.mark.parametrize(("method", "rest", "body"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        bearer("x"),
        bearer("olk_0123456789ab_" + "A" * 43),
        bearer("olg_a.b.c"),
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer " + "x" * 9_000)],
    ],
)
async def test_who_is_nobody_is_told_nothing(
    site: Site, method: str, rest: str, body: object, headers: Headers
) -> None:
    """401 on every route, for known and unknown ids, with the same words."""
    answers = [
        await site.ask(method, f"/v1/generations/{generation_id}{rest}", headers, body)
        for generation_id in (site.generation_id, UNKNOWN, "nonsense")
    ]
    for answer in answers:
        check_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.rule("R45")
async def test_who_is_nobody_creates_and_lists_nothing(site: Site) -> None:
    """The API does not even read the body."""
    check_problem(await site.stack.post({"model": 7}), 401, "unauthenticated")
    check_problem(await site.ask("GET", "/v1/generations?limit=x", []), 401, "unauthenticated")
    async with open_socket(site.stack.urls[0], site.generation_id) as socket:
        assert [frame async for frame in socket] == []
    assert socket.code == 4401


@pytest.mark.rule("R45")
async def test_an_api_key_in_a_url_is_none(site: Site) -> None:
    """Histories and logs keep URLs; only a token for one generation is accepted there."""
    path = f"/v1/generations/{site.generation_id}?token={site.mine}"
    check_problem(await site.ask("GET", path, []), 401, "unauthenticated")
    cookie = [("Cookie", f"__Host-{site.generation_id}={site.mine}")]
    assert (await site.ask("GET", f"/v1/generations/{site.generation_id}", cookie)).status == 200


@pytest.mark.rule("R47")
@pytest.mark.parametrize(("method", "rest", "body"), ROUTES)
async def test_what_is_anothers_looks_like_what_never_was(site: Site, method: str, rest: str, body: object) -> None:
    """The same status, headers and bytes; and the generation is unchanged."""
    foreign, unknown = [
        await site.ask(method, f"/v1/generations/{generation_id}{rest}", bearer(site.theirs), body)
        for generation_id in (site.generation_id, UNKNOWN)
    ]
    check_problem(foreign, 404, "not_found")
    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    headers = [{**answer.headers, "date": "", "ratelimit": ""} for answer in (foreign, unknown)]
    assert headers[0] == headers[1]
    assert await site.status(site.generation_id) == "completed"


@pytest.mark.rule("R47")
async def test_a_websocket_to_anothers_is_closed_as_to_an_unknown(site: Site) -> None:
    """4404 for both; a running generation goes on, whatever the client sends."""
    running = await site.create(demo(pace_s=0.05, tokens=100_000))
    for generation_id in (site.generation_id, running, UNKNOWN):
        async with open_socket(site.stack.urls[0], generation_id, headers=bearer(site.theirs)) as socket:
            assert [frame async for frame in socket] == []
        assert socket.code == 4404
    assert await site.status(running) in ("queued", "running")
    assert (await site.ask("POST", f"/v1/generations/{running}/cancel", bearer(site.mine))).status == 200


@pytest.mark.rule("R47")
async def test_anothers_cursor_shows_nothing_of_his(site: Site) -> None:
    """A known class of leaks in event stores: the id of an event must not lead to its log."""
    theirs = (await site.stack.post(chat(QUICK), headers=bearer(site.theirs))).json()["id"]
    mine = (await site.ask("GET", f"/v1/generations/{site.generation_id}", bearer(site.mine))).json()

    async with open_events(
        site.stack.urls[0], theirs, after=mine["cursor"], headers=bearer(site.theirs), fold=False
    ) as stream:
        frames = [frame async for frame in stream]
    assert frames[0].event == "reset"
    assert frames[1].event == "queued"
    assert frames[1].data["id"] == theirs
    assert site.generation_id not in "".join(frame.text for frame in frames)


@pytest.mark.rule("R47")
async def test_lists_and_idempotency_keys_are_each_tenants_own(site: Site) -> None:
    """The same key of two tenants creates two generations; a page position of one tenant is unknown to the other."""
    key = [("Idempotency-Key", unique())]
    made = [await site.stack.post(chat(QUICK), headers=[*key, *bearer(who)]) for who in (site.mine, site.theirs)]
    assert [answer.status for answer in made] == [201, 201]
    assert len({answer.json()["id"] for answer in made}) == 2

    async def listed(who: str, query: str = "") -> set[str]:
        page = (await site.ask("GET", f"/v1/generations?limit=100{query}", bearer(who))).json()
        return {one["id"] for one in page["generations"]}

    mine, theirs = await listed(site.mine), await listed(site.theirs)
    assert site.generation_id in mine
    assert not mine & theirs
    assert not await listed(site.theirs, f"&before=999999999999999-{site.generation_id}") & mine


@pytest.mark.rule("R48")
@pytest.mark.parametrize("rights", ["view", "view+cancel"])
async def test_a_token_does_what_it_says_and_no_more(site: Site, rights: str) -> None:
    """As bearer, in the address, and as a cookie."""
    running = await site.create(demo(pace_s=0.05, tokens=100_000))
    own = f"/v1/generations/{running}"
    minted = await site.ask("POST", f"{own}/tokens", bearer(site.mine), {"rights": rights, "expires_s": 60})
    assert minted.status == 201
    token = minted.json()["token"]
    cookie = [("Cookie", f"__Host-{running}={token}")]
    elsewhere = f"/v1/generations/{site.generation_id}"
    for query, headers in (("", bearer(token)), (f"?token={token}", []), ("", cookie)):
        assert (await site.ask("GET", own + query, headers)).status == 200
        async with open_stream("GET", f"{site.stack.urls[0]}{own}/events{query}", headers=headers) as stream:
            assert (await anext(aiter(stream))).event == "queued"
        refused = await site.ask("GET", elsewhere + query, headers)
        assert refused.status == (401 if headers is cookie else 404)
        if rights == "view":
            check_problem(await site.ask("POST", f"{own}/cancel{query}", headers), 403, "forbidden")
    for method, path, body in (
        ("DELETE", own, None),
        ("POST", f"{own}/tokens", {}),
        ("POST", "/v1/generations", chat(QUICK)),
        ("GET", "/v1/generations", None),
    ):
        check_problem(await site.ask(method, path, bearer(token), body), 403, "forbidden")
        check_problem(await site.ask(method, f"{path}?token={token}", [], body), 401, "unauthenticated")
    async with open_socket(site.stack.urls[0], running, token=token) as socket:
        await socket.cancel()
        if rights == "view":
            # Events still come after the cancel: the server has read it and ignored it.
            for _ in range(5):
                assert (await anext(aiter(socket))).event != "cancelled"
        else:
            assert [frame async for frame in socket][-1].event == "cancelled"
    assert (await site.status(running) == "cancelled") is (rights == "view+cancel")
    await site.ask("DELETE", own, bearer(site.mine))


@pytest.mark.rule("R48")
async def test_a_token_expires(site: Site) -> None:
    """Then it is refused; and it may not be valid for longer than a generation can exist."""
    own = f"/v1/generations/{site.generation_id}"
    token = (await site.ask("POST", f"{own}/tokens", bearer(site.mine), {"expires_s": 1.5})).json()["token"]

    async def refused() -> bool:
        return (await site.ask("GET", own, bearer(token))).status == 401

    await until(refused, 10.0, "the token expired")
    too_long = {"expires_s": 10_000_000}
    check_problem(await site.ask("POST", f"{own}/tokens", bearer(site.mine), too_long), 400, "bad_request")


@pytest.mark.rule("R48")
async def test_a_token_comes_with_what_it_is_for(site: Site) -> None:
    """`POST /v1/generations` returns one if requested; the provider never sees that field."""
    made = (await site.stack.post(chat(QUICK, token="view"), headers=bearer(site.mine))).json()
    assert made["token"]["rights"] == "view"
    async with open_events(site.stack.urls[0], made["id"], headers=bearer(made["token"]["token"])) as stream:
        assert [frame async for frame in stream][-1].event == "completed"
    async with Redis.from_url(site.stack.redis.url) as redis:
        assert set(json.loads(await redis.get(site.stack.keys.request(made["id"])))) == {"model", "messages"}


@pytest.mark.rule("R48")
async def test_a_cookie_is_of_no_use_to_another_sites_page(site: Site) -> None:
    """Browsers send the origin of a page; and the cookie is only for this host, for TLS, and not for scripts."""
    running = await site.create(demo(pace_s=0.05, tokens=100_000))
    own = f"/v1/generations/{running}"
    asked = {"rights": "view+cancel", "cookie": True}
    minted = await site.ask("POST", f"{own}/tokens", bearer(site.mine), asked)
    assert "token" not in minted.json()
    pair, *attributes = minted.headers["set-cookie"].split("; ")
    assert pair.startswith(f"__Host-{running}=olg_")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=strict"} <= set(attributes)

    cancel = f"{own}/cancel"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        answer = await site.ask("POST", cancel, [("Cookie", pair), ("Origin", origin)])
        check_problem(answer, 401, "unauthenticated")
    with pytest.raises(InvalidStatus):
        async with open_socket(site.stack.urls[0], running, origin="https://evil.example", headers=[("Cookie", pair)]):
            pass
    assert await site.status(running) in ("queued", "running")
    ours = [("Cookie", pair), ("Origin", site.stack.urls[0])]
    assert (await site.ask("POST", cancel, ours)).json()["status"] == "cancelled"
