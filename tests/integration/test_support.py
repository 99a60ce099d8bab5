"""The processes of tests/support do what tests rely on: they keep their data, they end, and they do not collide."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.support.ports import claim_port, release_port
from tests.support.processes import ROOT, OsProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["unix socket", "tcp"])
async def own_redis(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer]:
    """A server that the test may harm."""
    server = RedisServer(tcp=request.param)
    await server.start()
    yield server
    await server.stop()


async def value_of(server: RedisServer, key: str) -> str | None:
    """One value, read on its own connection."""
    async with Redis.from_url(server.url, decode_responses=True) as client:
        found: str | None = await client.get(key)
        return found


async def test_a_killed_redis_keeps_what_it_acknowledged(own_redis: RedisServer) -> None:
    """Same address, same data: the append-only file survives SIGKILL and a restart."""
    async with Redis.from_url(own_redis.url) as client:
        await client.set("kept", "yes")
    own_redis.kill()
    assert not own_redis.running
    assert own_redis.exit_code == -signal.SIGKILL
    await own_redis.start()
    assert await value_of(own_redis, "kept") == "yes"
    await own_redis.restart()
    assert await value_of(own_redis, "kept") == "yes"


async def test_a_paused_redis_answers_only_after_it_resumes(own_redis: RedisServer) -> None:
    """SIGSTOP leaves the socket open and silent."""
    own_redis.pause()
    assert not await own_redis.is_ready()
    own_redis.resume()
    await own_redis.ready(5.0)


async def test_a_process_that_ends_instead_of_serving_shows_what_it_said() -> None:
    """A failed start fails at once and shows its output."""
    broken = OsProcess("broken", [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"])
    broken.spawn()
    await broken.wait(10.0)
    with pytest.raises(AssertionError, match="ended with 3; its output:\nno such luck"):
        await broken.ready(10.0)
    await broken.stop()


SPAWNER = """
import sys, time
from tests.support.processes import OsProcess
child = OsProcess("sleeper", ["sleep", "1000"])
child.spawn()
print(child.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_process_dies_with_the_test_process(tmp_path: Path) -> None:
    """Also if that is killed and cannot clean up."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", SPAWNER], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()

    # The kernel sends the signal before the parent can be reaped; only the end itself takes time.
    descriptor = -1
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(child)
    if descriptor >= 0:
        readable, _, _ = select.select([descriptor], [], [], 5.0)
        os.close(descriptor)
        assert readable, "the orphan lives"


def test_a_claimed_port_is_nobody_elses() -> None:
    """Neither here nor in another test run, until it is released."""
    ports = {claim_port() for _ in range(50)}
    assert len(ports) == 50
    for port in ports:
        release_port(port)


async def test_what_never_comes_true_fails_with_its_name() -> None:
    """And with the last result."""
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: a miracle \(last result: 0\)"):
        await until(lambda: 0, 0.05, "a miracle")
