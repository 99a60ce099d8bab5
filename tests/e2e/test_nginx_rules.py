"""Each rule of deploy/nginx on Debian's nginx: what it passes on, holds back and retries."""

import asyncio
import contextlib
import itertools

import pytest

from outlive.shared.settings import Settings
from tests.support.nginx import Nginx
from tests.support.ports import claim_port, release_port
from tests.support.processes import OsProcess
from tests.support.programs import program
from tests.support.raw_http import exchange, request
from tests.support.scripted_server import ReceivedRequest, ScriptedServer, whole_response
from tests.support.sse import open_events
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SOON_S = 10.0
HALF_OPEN = 200
TABS = 20
BYTE_S = 0.1
GENERATION = "gen_0123456789abcdef0123456789abcdef"
CREATE = b"POST /v1/generations HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n"


async def hello(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(whole_response(body=b"hello"))


async def break_off(_: ReceivedRequest, __: asyncio.StreamWriter) -> None:
    """Read the request and close without a response, as a killed process does."""


async def trickle(nginx: Nginx, data: bytes) -> None:
    """Send a byte at a time until nginx closes the connection, which it does without a response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    try:
        for byte in data:
            writer.write(bytes([byte]))
            try:
                async with asyncio.timeout(BYTE_S):
                    await reader.read()
                    return
            except TimeoutError:
                continue
            except ConnectionResetError:
                return
    finally:
        writer.close()
    raise AssertionError(f"still open after {len(data)} bytes, one each {BYTE_S} s")


async def test_a_token_is_passed_on_before_the_next_is_there() -> None:
    """Nothing is collected, also when the answer carries no header that forbids it.

    Not in chunks, which nginx passes on one by one whatever it was told.
    """
    seen = asyncio.Event()

    async def speak_in_two(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\na")
        await seen.wait()
        writer.write(b"b")

    async with (
        ScriptedServer(speak_in_two) as origin,
        Nginx([origin.port]) as nginx,
        exchange("GET", nginx.url) as made,
    ):
        async with asyncio.timeout(SOON_S):
            assert await made.read() == b"a"
            seen.set()
            assert await made.read() == b"b"


async def test_what_an_answer_says_is_neither_compressed_nor_kept() -> None:
    """Compression would delay output, and a cached answer would be that of another viewer or an old one."""
    text = b"the sea " * 1000

    async def answer(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(whole_response("Content-Type: text/event-stream", "Cache-Control: public, max-age=60", body=text))

    async with ScriptedServer(answer) as origin, Nginx([origin.port]) as nginx:
        for _ in range(2):
            got = await request("GET", nginx.url, headers=[("Accept-Encoding", "gzip")])
            assert "content-encoding" not in got.headers
            assert got.body == text
        assert len(origin.requests) == 2


async def test_last_event_id_arrives_as_it_was_sent() -> None:
    """Without it every reconnect would start at the first event."""
    async with ScriptedServer(hello) as origin, Nginx([origin.port]) as nginx:
        url = f"{nginx.url}/v1/generations/{GENERATION}/events"
        await request("GET", url, headers=[("Last-Event-ID", "1795330013450-17")])
    assert origin.requests[0].headers["last-event-id"] == "1795330013450-17"


async def test_connections_to_the_api_may_stay_open() -> None:
    """nginx sends no `close`: a new connection for each request would double the time of a short one."""
    async with ScriptedServer(hello) as origin, Nginx([origin.port]) as nginx:
        await request("GET", nginx.url)
    assert origin.requests[0].line == "GET / HTTP/1.1"
    assert "connection" not in origin.requests[0].headers


async def test_the_largest_body_the_api_accepts_passes_and_never_touches_the_disk() -> None:
    """nginx refuses one byte more; a prompt in a temporary file would outlive its deletion."""
    max_bytes = Settings.model_fields["max_body_bytes"].default
    async with ScriptedServer(hello) as origin, Nginx([origin.port]) as nginx:
        assert (await request("POST", nginx.url, body=b"x" * max_bytes)).status == 200
        assert (await request("POST", nginx.url, body=b"x" * (max_bytes + 1))).status == 413
        assert "temporary file" not in nginx.output()
    assert [len(asked.body) for asked in origin.requests] == [max_bytes]


async def test_half_open_connections_never_reach_the_api_and_are_closed() -> None:
    """Slowloris: 200 clients send a header one byte at a time; other requests are served meanwhile."""
    shorter = {"client_header_timeout 10s": "client_header_timeout 1s"}
    async with ScriptedServer(hello) as origin, Nginx([origin.port], replacements=shorter) as nginx:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(HALF_OPEN):
                tasks.create_task(trickle(nginx, b"GET / HTTP/1.1\r\nX: " + b"x" * 100))
            assert (await request("GET", nginx.url)).body == b"hello"
        assert origin.connections == 1


async def test_a_trickling_body_occupies_nginx_alone() -> None:
    """nginx passes a request on when it is complete, and closes one that stops."""
    shorter = {"client_body_timeout 10s": "client_body_timeout 1s"}
    async with ScriptedServer(hello) as origin, Nginx([origin.port], replacements=shorter) as nginx:
        reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
        writer.write(CREATE + b"{}")
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(SOON_S):
                await reader.read()
        writer.close()
        assert origin.connections == 0


async def test_a_post_that_was_broken_off_is_asked_again_with_the_same_key() -> None:
    """nginx adds a key, so that the second process finds what the first may have created."""
    async with (
        ScriptedServer(break_off) as first,
        ScriptedServer(break_off) as second,
        Nginx([first.port, second.port]) as nginx,
    ):
        second.respond = hello
        for _ in range(4):
            got = await request("POST", f"{nginx.url}/v1/generations", body={})
            assert got.status == 200
        assert first.requests
        keys = [asked.headers["idempotency-key"] for asked in second.requests]
        assert len(set(keys)) == 4
        assert {asked.headers["idempotency-key"] for asked in first.requests} <= set(keys)


async def test_a_clients_own_key_stays() -> None:
    """The client knows better than nginx which requests are the same."""
    async with ScriptedServer(hello) as origin, Nginx([origin.port]) as nginx:
        await request("POST", f"{nginx.url}/v1/generations", headers=[("Idempotency-Key", "mine")], body={})
    assert origin.requests[0].headers["idempotency-key"] == "mine"


async def test_a_process_that_refuses_costs_no_request() -> None:
    """Also if it refuses again and again: nginx does not exclude a process before all refuse."""
    port = claim_port()
    try:
        async with ScriptedServer(hello) as origin, Nginx([port, origin.port]) as nginx:
            statuses = {(await request("POST", nginx.url, body={})).status for _ in range(20)}
    finally:
        release_port(port)
    assert statuses == {200}


async def test_without_any_api_a_viewer_is_told_to_come_again() -> None:
    """An EventSource gives up for good on a 502. Other requests get the 502."""
    port = claim_port()
    try:
        async with Nginx([port]) as nginx:
            async with open_events(nginx.url, GENERATION) as stream:
                assert [frame async for frame in stream] == []
            refused = await request("GET", f"{nginx.url}/v1/generations/{GENERATION}")
    finally:
        release_port(port)
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert stream.retry_ms is not None
    assert refused.status == 502


async def test_a_hung_process_is_left_and_a_stalled_viewer_is_cut() -> None:
    """Silence for longer than four heartbeats, or a socket that takes nothing, ends a connection."""
    shorter = {"proxy_read_timeout 60s": "proxy_read_timeout 1s", "send_timeout 30s": "send_timeout 1s"}
    flood = asyncio.Event()

    async def hang_or_flood(asked: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if "flood" not in asked.line:
            await asyncio.Event().wait()
        for _ in itertools.count():
            writer.write(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
            flood.set()
            await writer.drain()

    async with ScriptedServer(hang_or_flood) as origin, Nginx([origin.port], replacements=shorter) as nginx:
        async with asyncio.timeout(SOON_S), exchange("GET", nginx.url) as made:
            assert await made.read() == b""
        async with exchange("GET", f"{nginx.url}/flood"):
            await flood.wait()
            # The client does not read; nginx drops what it holds when it closes its connection to the API.
            await until(lambda: origin.connections == 2 and origin.open <= 1, SOON_S, "the viewer cut")


async def test_metrics_are_for_the_inside_alone() -> None:
    """They show how much goes on, and of what."""
    async with ScriptedServer(hello) as origin, Nginx([origin.port]) as nginx:
        assert (await request("GET", f"{nginx.url}/metrics")).status == 404
    assert origin.requests == []


async def test_twenty_answers_share_one_connection_of_a_browser() -> None:
    """HTTP/2 on the outside: over HTTP/1.1 the seventh tab of a browser would wait for ever."""
    all_open = asyncio.Event()

    async def hold(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await all_open.wait()
        writer.write(b"0\r\n\r\n")

    async with ScriptedServer(hold) as origin, Nginx([origin.port]) as nginx:
        trust = ["--cacert", str(nginx.directory / "certificate.pem")]
        address = f"{nginx.tls_url}/tab/[1-{TABS}]"
        browser = OsProcess("curl", [program("curl"), "-sS", "--http2", *trust, "-Z", address])
        browser.spawn()
        try:
            await until(lambda: origin.open == TABS, SOON_S, "all tabs open")
            all_open.set()
            assert await browser.wait(SOON_S) == 0, browser.output()
        finally:
            await browser.stop()
        lines = [line for line in nginx.output().splitlines() if "/tab/" in line]
        assert len(lines) == TABS
        assert len({line.partition("connection ")[2] for line in lines}) == 1
        assert all("HTTP/2.0" in line for line in lines)
