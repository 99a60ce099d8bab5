"""deploy/redis/users.acl: each role can do its work with its own user, and nothing else."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.support.processes import ROOT
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, chat, demo
from tests.support.tenants import AUTH, bearer

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R60")]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our file; the default user stays on only for the readiness check of the test."""
    made = tmp_path_factory.mktemp("acl") / "users.acl"
    written = (ROOT / "deploy/redis/users.acl").read_text()
    made.write_text(written.replace("user default off", "user default on nopass ~* &* +@all"))
    return made


@pytest.fixture(scope="module")
async def server(anyio_backend: str, users: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(options=["--aclfile", str(users)])
    await server.start()
    yield server
    await server.stop()


def url_of(server: RedisServer, role: str) -> str:
    return server.url.replace("unix://", f"unix://outlive-{role}:{role.upper()}_PASSWORD@")


async def test_each_role_works_with_its_own_user(server: RedisServer) -> None:
    """A key is created, an answer streamed, listed, cancelled and deleted; Redis refuses nothing."""
    stack = Stack(redis=server, prefix="ol", settings=AUTH)
    for role, processes in (("api", stack.apis), ("worker", stack.workers)):
        for process in processes:
            process.environ = process.environ | {"OUTLIVE_REDIS_URL": url_of(server, role)}
    async with stack:
        making = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "outlive", "keys", "create", "--tenant", "acme"),
            cwd=ROOT,
            env=os.environ | {"OUTLIVE_REDIS_URL": url_of(server, "keys")},
            stdout=asyncio.subprocess.PIPE,
        )
        tenant = bearer((await making.communicate())[0].decode().strip())
        for model in (demo(pace_s=0, tokens=20), demo(pace_s=0.05, tokens=100_000)):
            made = await stack.post(chat(model), headers=tenant)
            own = f"{stack.urls[0]}/v1/generations/{made.json()['id']}"
            async with open_events(stack.urls[0], made.json()["id"], headers=tenant) as stream:
                async for frame in stream:
                    if frame.event == "token":
                        break
            assert (await request("GET", own, headers=tenant)).status == 200
            assert (await request("POST", f"{own}/cancel", headers=tenant)).status == 200
            assert (await request("GET", f"{stack.urls[0]}/v1/generations", headers=tenant)).status == 200
            assert (await request("DELETE", own, headers=tenant)).status == 204
        output = "".join(process.output() for process in (*stack.apis, *stack.workers))
        assert "NOPERM" not in output
        assert "not known" not in output


FORBIDDEN = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SCAN", "0"), ("CONFIG", "GET", "*"), ("DEBUG", "SLEEP", "0"),
    ("SHUTDOWN",), ("ACL", "LIST"), ("MONITOR",), ("SAVE",), ("REPLICAOF", "NO", "ONE"), ("MODULE", "LIST"),
    ("FUNCTION", "LIST"), ("SCRIPT", "FLUSH"), ("CLIENT", "LIST"), ("SWAPDB", "0", "1"), ("RANDOMKEY",),
    ("CLIENT", "UNBLOCK", "1"),
    ("GET", "somebody:elses"), ("SET", "somebody:elses", "x"), ("PUBLISH", "somebody", "x"),
    ("SPUBLISH", "somebody", "x"), ("SSUBSCRIBE", "somebody"),
    ("HSET", "ol:api_keys", "x", "y"), ("HDEL", "ol:api_keys", "x"),
    ("EVAL", "return redis.call('GET', 'somebody:elses')", "0"),
    ("EVAL", "return redis.call('HSET', 'ol:api_keys', 'x', 'y')", "0"),
]  # fmt: skip


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_no_role_can_do_what_it_must_not(server: RedisServer, role: str) -> None:
    """It cannot empty, list or change the server, read keys that are not ours, or create API keys."""
    extra = [("HGETALL", "ol:api_keys")] if role == "worker" else []
    async with Redis.from_url(url_of(server, role)) as redis:
        for command in [*FORBIDDEN, *extra]:
            # Redis has two messages for it: to a command, and from a script.
            with pytest.raises(ResponseError, match=r"(?i)permission|ACL"):
                await redis.execute_command(*command)
