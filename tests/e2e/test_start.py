"""What a process does when it starts: it checks its Redis first."""

import pytest
from redis.asyncio import Redis

from tests.e2e.test_doctor import examine
from tests.support.redis_server import RedisServer
from tests.support.stack import ApiProcess, Stack, WorkerProcess, demo
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R25")
async def test_a_redis_that_evicts_is_refused_in_one_sentence() -> None:
    """By API and worker, with the exit code of a wrong setting."""
    server = RedisServer(options=["--maxmemory-policy", "allkeys-lru"])
    await server.start()
    environ = {"OUTLIVE_REDIS_URL": server.url, "OPENAI_API_KEY": "none"}
    processes = [ApiProcess("api", environ), WorkerProcess("worker", environ)]
    try:
        for process in processes:
            process.spawn()
            assert await process.wait(20.0) == 2
            assert "set it to noeviction" in process.output()
            assert "Traceback" not in process.output()
    finally:
        for process in processes:
            await process.stop()
        await server.stop()


@pytest.mark.rule("R25")
async def test_a_redis_without_an_append_only_file_is_warned_of(redis_server: RedisServer) -> None:
    """The process logs a warning and uses it."""
    async with Stack(redis=redis_server) as stack:
        assert all("append-only" in process.output() for process in (*stack.apis, *stack.workers))


async def test_whoever_starts_before_redis_waits_for_it() -> None:
    """Neither process ends; once Redis is there they work, without another start."""
    stack = Stack()
    try:
        await stack.model.start()
        for process in (*stack.apis, *stack.workers):
            process.spawn()
        worker = stack.workers[0]
        await until(lambda: worker.has_printed("does not reply yet"), 20.0, "a worker that waits")
        await stack.redis.start()
        for process in (*stack.apis, *stack.workers):
            await process.ready()
        assert (await stack.closed(await stack.create(demo(pace_s=0, tokens=3))))["status"] == "completed"
    finally:
        await stack.__aexit__(None, None, None)


async def test_a_redis_that_forbids_info_is_warned_of(redis_server: RedisServer) -> None:
    """As hosted servers do: the process says what it cannot know, and goes on."""
    async with Redis.from_url(redis_server.url) as redis:
        await redis.execute_command("ACL", "SETUSER", "shy", "on", ">secret", "~*", "&*", "+@all", "-info")
    url = redis_server.url.replace("unix://", "unix://shy:secret@")
    try:
        async with Stack(redis=redis_server, environ={"OUTLIVE_REDIS_URL": url}) as stack:
            assert "unchecked" in stack.workers[0].output()
            assert (await stack.closed(await stack.create(demo(pace_s=0, tokens=3))))["status"] == "completed"
    finally:
        async with Redis.from_url(redis_server.url) as redis:
            await redis.execute_command("ACL", "DELUSER", "shy")


@pytest.mark.rule("R73")
@pytest.mark.parametrize("rights", ["resetchannels", "resetchannels &ol:hints", "allchannels -spublish"])
async def test_a_redis_that_refuses_the_channels_of_logs_is_refused_in_one_sentence(
    redis_server: RedisServer, rights: str
) -> None:
    """By API and worker; the doctor says the same. No append fails of it, so viewers would be late without a word."""
    async with Redis.from_url(redis_server.url) as redis:
        await redis.execute_command("ACL", "SETUSER", "mute", "on", ">x", "~*", "+@all", *rights.split())
    url = redis_server.url.replace("unix://", "unix://mute:x@")
    environ = {"OUTLIVE_REDIS_URL": url, "OPENAI_API_KEY": "none"}
    processes = [ApiProcess("api", environ), WorkerProcess("worker", environ)]
    try:
        for process in processes:
            process.spawn()
            assert await process.wait(20.0) == 2
            assert "add &ol:{* and +@pubsub to its rights" in process.output()
            assert "Traceback" not in process.output()
        code, printed = await examine({"OUTLIVE_REDIS_URL": url}, "--no-upstream")
        assert code == 1
        assert "wrong    redis: Redis does not allow this user SPUBLISH" in printed
    finally:
        for process in processes:
            await process.stop()
        async with Redis.from_url(redis_server.url) as redis:
            await redis.execute_command("ACL", "DELUSER", "mute")
