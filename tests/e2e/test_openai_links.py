"""Tokens for one answer on the wires of OpenAI, on a server where an answer ends when its client leaves."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from tests.support.raw_http import Headers, Response, request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_stream
from tests.support.stack import QUICK, Stack, demo, unique
from tests.support.tenants import AUTH, Bearer, api_key, bearer
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R48")]

INSTRUCTIONS = "canary: be brief"
NAMES = ("gen_", "resp_", "chatcmpl-")


class Site(NamedTuple):
    """One tenant, and one of its answers that is finished."""

    stack: Stack
    mine: Bearer
    finished: str

    async def ask(self, method: str, path: str, headers: Headers, body: object = None) -> Response:
        return await request(method, f"{self.stack.urls[0]}/v1{path}", headers=headers, body=body)

    async def token(self, digits: str, rights: str) -> str:
        minted = await self.ask("POST", f"/generations/gen_{digits}/tokens", self.mine, {"rights": rights})
        value: str = minted.json()["token"]
        return value

    async def state(self, digits: str) -> dict[str, Any]:
        value: dict[str, Any] = (await self.ask("GET", f"/generations/gen_{digits}", self.mine)).json()
        return value


async def respond(site: Site, model: str, **fields: object) -> str:
    """The digits of the id of an answer that was requested as a response."""
    body = {"model": model, "input": "Hello", "instructions": INSTRUCTIONS, **fields}
    made = await site.ask("POST", "/responses", site.mine, body)
    assert made.status == 200, made
    name: str = made.json()["id"]
    return name.removeprefix("resp_")


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer) -> AsyncIterator[Site]:
    async with Stack(redis=redis_server, settings=AUTH | {"on_disconnect": "cancel"}) as stack:
        made = Site(stack, bearer(await api_key(stack, "mine")), "")
        yield made._replace(finished=await respond(made, QUICK))


@pytest.mark.parametrize("rights", ["view", "view+cancel"])
async def test_a_token_opens_its_answer_and_tells_nothing_of_what_was_asked(site: Site, rights: str) -> None:
    """By each of its names, whole and streamed, as bearer and in the address; only its tenant sees the prompt."""
    token = await site.token(site.finished, rights)
    for prefix in NAMES:
        for query, headers in (("", bearer(token)), (f"token={token}", [])):
            for path in (f"/responses/{prefix}{site.finished}", f"/chat/completions/{prefix}{site.finished}"):
                answer = await site.ask("GET", f"{path}?{query}", headers)
                assert answer.status == 200, answer
                assert INSTRUCTIONS.encode() not in answer.body
            for path in (
                f"/responses/{prefix}{site.finished}?stream=true",
                f"/chat/completions/{prefix}{site.finished}/stream?",
            ):
                streamed = await site.ask("GET", f"{path}&{query}", headers)
                assert streamed.status == 200, streamed
                assert INSTRUCTIONS.encode() not in streamed.body
                assert streamed.body.endswith(b"\n\n")
    own = f"/responses/resp_{site.finished}"
    assert (await site.ask("GET", own, site.mine)).json()["instructions"] == INSTRUCTIONS
    assert INSTRUCTIONS.encode() in (await site.ask("GET", f"{own}?stream=true", site.mine)).body
    shown = (await site.ask("GET", own, bearer(token))).json()
    assert shown["output"] == (await site.ask("GET", own, site.mine)).json()["output"]


@pytest.mark.parametrize("rights", ["view", "view+cancel"])
async def test_a_token_opens_nothing_else(site: Site, rights: str) -> None:
    """Its holder cannot delete, create or continue. Other answers look like unknown ones, in the format of OpenAI."""
    token = bearer(await site.token(site.finished, rights))
    another = await respond(site, QUICK)
    follow = {"model": QUICK, "input": "Go on", "previous_response_id": f"resp_{site.finished}"}
    ask = {"model": QUICK, "messages": [{"role": "user", "content": "Hello"}]}
    for method, path, body in (
        ("DELETE", f"/responses/resp_{site.finished}", None),
        ("POST", "/responses", follow),
        ("POST", "/chat/completions", ask),
    ):
        refused = await site.ask(method, path, token, body)
        assert (refused.status, refused.json()["error"]["code"]) == (403, "forbidden")
    for method, path in (
        ("GET", "/responses/resp_{}"),
        ("GET", "/responses/resp_{}?stream=true"),
        ("GET", "/chat/completions/chatcmpl-{}"),
        ("GET", "/chat/completions/chatcmpl-{}/stream"),
        ("POST", "/responses/resp_{}/cancel"),
    ):
        answers = [await site.ask(method, path.format(digits), token) for digits in (another, "0" * 32)]
        assert [(one.status, one.json()["error"]["code"]) for one in answers] == [(404, "not_found")] * 2
        assert answers[0].body == answers[1].body
        nobody = [await site.ask(method, path.format(digits), []) for digits in (another, "nonsense")]
        assert [(one.status, one.json()["error"]["code"]) for one in nobody] == [(401, "unauthenticated")] * 2
    assert (await site.state(another))["status"] == "completed"


async def test_who_may_only_watch_stops_nothing(site: Site) -> None:
    """Neither by a request nor by leaving, whatever the holder asks for; a holder who may cancel can."""
    digits = await respond(site, demo(pace_s=0.02, tokens=100_000, seed=unique()), background=True)
    view = bearer(await site.token(digits, "view"))
    refused = await site.ask("POST", f"/responses/resp_{digits}/cancel", view)
    assert (refused.status, refused.json()["error"]["code"]) == (403, "forbidden")
    wish = [*view, ("X-Outlive-On-Disconnect", "cancel")]
    for path in (f"responses/resp_{digits}?stream=true", f"chat/completions/chatcmpl-{digits}/stream"):
        async with open_stream("GET", f"{site.stack.urls[0]}/v1/{path}", headers=wish) as stream:
            await anext(aiter(stream))
        await goes_on(site, digits)
    cancel = bearer(await site.token(digits, "view+cancel"))
    stopped = await site.ask("POST", f"/responses/resp_{digits}/cancel", cancel)
    assert (stopped.status, stopped.json()["status"]) == (200, "cancelled")
    assert stopped.json()["instructions"] is None
    assert (await site.state(digits))["status"] == "cancelled"


async def goes_on(site: Site, digits: str) -> None:
    """Check that it produces so much more that a viewer who left long ago would have stopped it."""
    length_before = len((await site.state(digits))["text"])

    async def more() -> bool:
        return len((await site.state(digits))["text"]) > length_before + 100

    await until(more, 20.0, "it goes on", every_s=0.1)


@pytest.mark.rule("R56")
async def test_to_open_a_stream_is_no_request(site: Site) -> None:
    """It counts neither for the tenant nor for the link; a request for the answer counts for its sender."""
    digits = site.finished
    for caller in (site.mine, bearer(await site.token(digits, "view"))):
        own = f"/responses/resp_{digits}"
        before = await site.ask("GET", own, caller)
        streams = [f"{own}?stream=true", f"/chat/completions/chatcmpl-{digits}/stream"]
        assert ["ratelimit" in (await site.ask("GET", path, caller)).headers for path in streams] == [False] * 2
        after = await site.ask("GET", f"/chat/completions/chatcmpl-{digits}", caller)
        left = [int(one.headers["ratelimit"].split("r=")[1].split(";")[0]) for one in (before, after)]
        assert left[0] - left[1] == 1
