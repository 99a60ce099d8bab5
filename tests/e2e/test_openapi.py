"""The OpenAPI document against the API, checked by a tool of others; and every error is in the one table."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator

import pytest

from tests.support.processes import ROOT
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.tenants import AUTH, api_key, bearer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """With authentication; one tenant may send many requests."""
    often = {"tenant_requests": "1000000", "tenant_generations": "100000"}
    async with Stack(redis=redis_server, workers=0, settings=AUTH | often) as stack:
        yield stack


async def check_by_schemathesis(stack: Stack, examples: int) -> None:
    """Run all checks of schemathesis except one, authentication included. In one thread, because its recursion ends
    as a SystemError in Python 3.11. The missing check demands that the API accepts whatever fits the schema. But a
    deleted generation is gone, which no schema can express, and some invented cursors fit the pattern."""
    key = await api_key(stack, "schemathesis")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.urls[0]}/openapi.json"),
        *(
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
            "--max-examples",
            str(examples),
            "--request-timeout",
            "5",
            "--seed",
            "7",
        ),
        *("--include-path-regex", "^/v1/generations", "--header", f"Authorization: Bearer {key}"),
        *("--no-color", "--workers", "1", "--generation-database", "none"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output[-6_000:]


async def test_schemathesis_finds_nothing(stack: Stack) -> None:
    """With a few examples of each operation."""
    await check_by_schemathesis(stack, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_schemathesis_finds_nothing_in_many(stack: Stack) -> None:
    """With many examples."""
    await check_by_schemathesis(stack, 100)


@pytest.mark.rule("R61")
async def test_no_route_answers_outside_the_table(stack: Stack) -> None:
    """Each method on each path, with nothing, with nonsense and without credentials: a status and code of the table."""
    table = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "shared/PROTOCOL.md").read_text(), re.MULTILINE))
    document = (await request("GET", f"{stack.urls[0]}/openapi.json")).json()
    paths = [path for path in document["paths"] if not path.startswith(("/v1/chat", "/v1/responses"))]
    me = bearer(await api_key(stack, "table"))
    seen = set()
    for path in [*paths, "/v1/nothing", "/static/nothing"]:
        for method in ("GET", "POST", "DELETE", "PUT", "OPTIONS", "PATCH"):
            for headers in ([], me, [*me, ("Content-Type", "application/json")]):
                for generation_id in ("nonsense", "gen_" + "0" * 32):
                    url = stack.urls[0] + re.sub(r"\{\w+\}", generation_id, path)
                    answer = await request(method, url, headers=headers, body=b"{" if method != "GET" else None)
                    if answer.status < 400:
                        continue
                    assert answer.headers["content-type"] == "application/problem+json", (method, url, answer)
                    seen.add((str(answer.status), answer.json()["code"]))
    assert seen <= table
    assert {"400", "401", "404", "405"} <= {status for status, _ in seen}
