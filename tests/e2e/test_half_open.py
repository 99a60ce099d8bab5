"""Requests that never complete and responses that no client reads: bounded, released, and without effect on viewers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, demo
from tests.support.stalled_viewer import has_bytes
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

EACH: Final = 60
REQUEST_S: Final = 3.0
STALL_S: Final = 2.0
MEMORY_BYTES: Final = 30_000_000
REDIS_CONNECTIONS: Final = 32
"""What the process may have opened meanwhile: its pool's limit (`shared/store/connect.py`)."""

PACE_S: Final = 0.02
PAUSE_S: Final = 1.0
"""Many times the pace, and far above what a busy machine does to it; a server that is blocked is blocked for longer."""

DRIPS: Final = {
    "a head": (b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
    "a line of a head": (b"GET /healthz HTTP/1.1\r\nX: ", b"y"),
    "a path": (b"GET /", b"x"),
    "a body": (b"POST /v1/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b" "),
    "a chunked body": (
        b"POST /v1/generations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
    ),
    "a second request": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
}


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process with short timeouts."""
    settings = {"stall_s": STALL_S, "request_s": REQUEST_S}
    async with Stack(redis=redis_server, settings=settings) as running:
        yield running


async def _drip(port: int, begin: bytes, again: bytes) -> None:
    """Send a byte or a line at a time until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.read())
    try:
        writer.write(begin)
        while not reading.done():
            with contextlib.suppress(ConnectionError):
                writer.write(again)
            await asyncio.wait({reading}, timeout=0.1)
    finally:
        await asyncio.gather(reading, return_exceptions=True)
        writer.transport.abort()


async def _longest_pause(stack: Stack, generation_id: str) -> float:
    """The longest pause between two events of one viewer that watches to the end."""
    loop, longest_s = asyncio.get_running_loop(), 0.0
    async with open_events(stack.urls[0], generation_id) as stream:
        before = None
        async for frame in stream:
            now = loop.time()
            if before is not None and frame.event == "token":
                longest_s = max(longest_s, now - before)
            before = now
    return longest_s


@pytest.mark.rule("R59", "R68")
async def test_requests_a_byte_at_a_time_are_ended_and_disturb_nobody(stack: Stack) -> None:
    """The time limit is for the whole request, however active it seems. Viewers get events at the pace of the provider
    meanwhile."""
    api = stack.apis[0]
    watched = await stack.create(demo(pace_s=PACE_S, tokens=round(REQUEST_S / PACE_S)))
    before_bytes, before_sockets = api.resident_bytes, api.descriptors
    watching = asyncio.create_task(_longest_pause(stack, watched))
    async with asyncio.timeout(REQUEST_S + 20.0), asyncio.TaskGroup() as tasks:
        for begin, again in DRIPS.values():
            for _ in range(EACH):
                tasks.create_task(_drip(api.port, begin, again))
        await until(lambda: api.descriptors > before_sockets + EACH, 10.0, "they are connected")
    cost_bytes = api.resident_bytes - before_bytes
    pause_s = await watching
    print(f"{EACH * len(DRIPS)} half requests cost {cost_bytes / 1e6:.1f} MB; the longest pause was {pause_s:.3f} s")
    assert cost_bytes < MEMORY_BYTES
    assert pause_s < PAUSE_S
    await until(lambda: api.descriptors <= before_sockets + REDIS_CONNECTIONS, 10.0, "their sockets are closed")


@contextlib.contextmanager
def never_reader(port: int, path: str) -> Iterator[socket.socket]:
    """A connection that sends as many requests as fit into one write, and reads nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode() * 20)
        sock.setblocking(False)
        yield sock


def connections(port: int) -> int:
    """The connections of a process on its port, without closed ones that only the kernel still keeps."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [row for row in rows if int(row[1].rpartition(":")[2], 16) == port]
    return sum(row[3] != _LISTENS and row[9] != "0" for row in mine)


_LISTENS: Final = "0A"


@pytest.mark.rule("R68")
async def test_an_answer_that_nobody_takes_is_not_kept(stack: Stack) -> None:
    """Many clients request a snapshot of megabytes and read nothing: their connections end, and the memory is freed."""
    api = stack.apis[0]
    large = await stack.create(demo(pace_s=0, chars=4_000, tokens=900))
    await stack.closed(large)
    path = f"/v1/generations/{large}"
    with contextlib.ExitStack() as holding:
        sockets = [holding.enter_context(never_reader(api.port, path)) for _ in range(20)]
        await until(lambda: all(map(has_bytes, sockets)), 20.0, "bytes for everybody")
        other = await stack.create(demo(pace_s=0.01, tokens=50))
        transcript = await Viewer(other, stack.urls).follow()
        await until(lambda: not connections(api.port), 20.0, "they are cut")
    assert "[error]" not in api.whole_output()
    check_invariants([transcript], await stack.closed(other), await stack.log(other))
