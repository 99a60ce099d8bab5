"""What a worker reports to an orchestrator."""

import asyncio
from contextlib import suppress

import pytest

from tests.support.ports import claim_port, release_port
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, WorkerProcess, demo
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def status(port: int, path: str) -> int:
    """The status of the response; 0 if no response comes."""
    try:
        return (await request("GET", f"http://127.0.0.1:{port}{path}")).status
    except OSError:
        return 0


async def test_a_worker_is_alive_without_redis_and_ready_with_it_until_it_drains() -> None:
    """A worker that is not ready gets no new work; one that is not alive is replaced, which would not repair Redis."""
    port = claim_port()
    redis = RedisServer()
    stack = Stack(workers=1, redis=redis, settings={"worker_port": port, "drain_s": 30})

    async def answers(path: str, wanted: int) -> None:
        async def answered() -> bool:
            return await status(port, path) == wanted

        await until(answered, 30.0, f"{wanted} from {path}", every_s=0.05)

    try:
        stack.workers[0].spawn()
        await answers("/healthz", 200)
        assert (await status(port, "/readyz"), await status(port, "/")) == (503, 404)

        await redis.start()
        await asyncio.gather(stack.model.start(), stack.apis[0].start(), stack.workers[0].ready())
        await answers("/readyz", 200)

        generation_id = await stack.create(demo(pace_s=0, tokens=10, gate="drain", gate_after=5))

        async def speaks() -> bool:
            return bool((await stack.snapshot(generation_id))["text"])

        await until(speaks, 10.0, "the first text")
        stack.workers[0].terminate()
        await answers("/readyz", 503)
        assert await status(port, "/healthz") == 200
        await stack.model.open_gate("drain")
        assert await stack.workers[0].wait(20.0) == 0
        assert (await stack.closed(generation_id))["status"] == "completed"
    finally:
        await stack.__aexit__(None, None, None)
        await redis.stop()
        release_port(port)


async def test_a_port_that_is_taken_is_said_in_one_sentence(redis_server: RedisServer) -> None:
    """With the exit code of a wrong setting."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    environ = {"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_WORKER_PORT": str(port), "OPENAI_API_KEY": "none"}
    worker = WorkerProcess("worker", environ)
    worker.spawn()
    try:
        assert await worker.wait(20.0) == 2
        assert "OUTLIVE_WORKER_PORT" in worker.output()
        assert "Traceback" not in worker.output()
    finally:
        await worker.stop()
        server.close()


async def test_whoever_asks_too_much_gets_no_answer(redis_server: RedisServer) -> None:
    """A head larger than any orchestrator sends ends the connection; the worker goes on."""
    port = claim_port()
    try:
        async with Stack(apis=0, redis=redis_server, settings={"worker_port": port}):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 65_536)
            async with asyncio.timeout(10.0):
                # The worker closes with unread bytes, for which the kernel may send a reset.
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()
            assert await status(port, "/healthz") == 200
    finally:
        release_port(port)
