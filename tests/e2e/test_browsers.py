"""What the API tells browsers: which pages may use it, and how its responses may be used."""

from collections.abc import AsyncIterator

import pytest

from tests.support.raw_http import Response, request
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R62")]

FRIEND, STRANGER = "https://app.example", "https://app.example.evil.example"


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """The first process allows one origin, the second allows none."""
    stack = Stack(redis=redis_server, workers=0, apis=2)
    stack.apis[0].environ = stack.environ | {"OUTLIVE_CORS_ORIGINS": FRIEND}
    async with stack:
        yield stack


async def preflight(stack: Stack, origin: str, api: int) -> Response:
    asked = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
    return await request("OPTIONS", f"{stack.urls[api]}/v1/generations", headers=[("Origin", origin), *asked])


@pytest.mark.parametrize("origin", [FRIEND, STRANGER, "null", "http://app.example", "https://app.example:444"])
async def test_only_a_page_that_is_named_exactly_may_use_the_api(stack: Stack, origin: str) -> None:
    """If no origin is named, no page may; and never with cookies."""
    for api in (0, 1):
        expected = origin if origin == FRIEND and api == 0 else None
        asked = await preflight(stack, origin, api)
        read = await request("GET", f"{stack.urls[api]}/v1/generations", headers=[("Origin", origin)])
        for answer in (asked, read):
            assert answer.headers.get("access-control-allow-origin") == expected
            assert "access-control-allow-credentials" not in answer.headers
        assert (asked.status == 200) is (expected is not None)


async def test_answers_are_kept_by_nobody_and_guessed_at_by_nobody(stack: Stack) -> None:
    """No cache stores a response and no browser guesses its type, problems included; the page runs only its own
    scripts."""
    for path in ("/v1/generations", "/v1/nothing", "/healthz"):
        headers = (await request("GET", stack.urls[0] + path)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    page = (await request("GET", stack.urls[0] + "/")).headers
    assert "default-src 'none'" in page["content-security-policy"]
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert page["referrer-policy"] == "no-referrer"
    assert page["cross-origin-opener-policy"] == "same-origin"
