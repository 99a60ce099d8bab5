"""deploy/haproxy and deploy/caddy under traffic: the rules that matter most to viewers."""

import asyncio

import pytest

from tests.support.ports import claim_port, release_port
from tests.support.raw_http import exchange, request
from tests.support.scripted_server import ReceivedRequest, ScriptedServer, whole_response
from tests.support.shipped_proxies import Caddy, Haproxy
from tests.support.sse import open_events
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", [Haproxy, Caddy])]

Kind = type[Haproxy] | type[Caddy]

SOON_S = 15.0
EVENTS = "/v1/generations/gen_0123456789abcdef0123456789abcdef/events"
GENERATION = EVENTS.split("/")[3]


async def hello(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(whole_response(body=b"hello"))


def asked_by_viewers(origin: ScriptedServer) -> list[ReceivedRequest]:
    """The requests without the health checks of the proxy."""
    return [asked for asked in origin.requests if "/healthz" not in asked.line]


async def test_a_token_is_passed_on_before_the_next_is_there(kind: Kind) -> None:
    """The proxy buffers nothing."""
    seen = asyncio.Event()

    async def speak_in_two(asked: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        if "/healthz" in asked.line:
            return await hello(asked, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\na")
        await seen.wait()
        writer.write(b"b")
        return None

    async with (
        ScriptedServer(speak_in_two) as one,
        ScriptedServer(speak_in_two) as two,
        kind([one.port, two.port]) as proxy,
        asyncio.timeout(SOON_S),
        exchange("GET", proxy.url) as made,
    ):
        assert await made.read() == b"a"
        seen.set()
        assert await made.read() == b"b"


async def test_last_event_id_arrives_and_nothing_is_compressed(kind: Kind) -> None:
    """It arrives unchanged; and a client that accepts gzip does not get it."""
    async with ScriptedServer(hello) as one, ScriptedServer(hello) as two, kind([one.port, two.port]) as proxy:
        headers = [("Last-Event-ID", "1795330013450-17"), ("Accept-Encoding", "gzip")]
        got = await request("GET", proxy.url + EVENTS, headers=headers)
        assert got.body == b"hello"
        assert "content-encoding" not in got.headers
        assert (await request("GET", f"{proxy.url}/metrics")).status == 404
    (asked,) = asked_by_viewers(one) + asked_by_viewers(two)
    assert asked.headers["last-event-id"] == "1795330013450-17"


async def test_a_process_that_refuses_costs_no_request_and_each_post_has_a_key(kind: Kind) -> None:
    """From the first request on, before the proxy has noticed anything."""
    port = claim_port()
    try:
        async with ScriptedServer(hello) as origin, kind([port, origin.port]) as proxy:
            answers = [await request("POST", f"{proxy.url}/v1/generations", body={}) for _ in range(10)]
            await request("POST", f"{proxy.url}/v1/generations", headers=[("Idempotency-Key", "mine")], body={})
    finally:
        release_port(port)
    assert {answer.status for answer in answers} == {200}
    keys = [asked.headers["idempotency-key"] for asked in asked_by_viewers(origin)]
    assert len(set(keys)) == 11
    assert keys[-1] == "mine"


async def test_a_head_that_trickles_is_closed(kind: Kind) -> None:
    """Slowloris."""
    long = "timeout http-request 10s" if kind is Haproxy else "read_header 10s"
    async with ScriptedServer(hello) as one, ScriptedServer(hello) as two:
        async with kind([one.port, two.port], replacements={long: long.replace("10s", "1s")}) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nX: ")
            async with asyncio.timeout(SOON_S):
                await reader.read()
            writer.close()
        assert asked_by_viewers(one) + asked_by_viewers(two) == []


async def test_without_any_api_a_viewer_is_told_to_come_again(kind: Kind) -> None:
    """An EventSource gives up for good on a 502. Other requests get the 502."""
    ports = [claim_port(), claim_port()]
    # For each request Caddy tries for so long to find a process.
    shorter = {"lb_try_duration 10s": "lb_try_duration 1s"} if kind is Caddy else {}
    try:
        async with kind(ports, replacements=shorter) as proxy:

            async def is_asked_to_return() -> bool:
                async with open_events(proxy.url, GENERATION) as stream:
                    frames = [frame async for frame in stream]
                return (stream.status, frames) == (200, []) and stream.retry_ms is not None

            await until(is_asked_to_return, SOON_S, "a word to come again", every_s=0.2)
            refused = await request("GET", f"{proxy.url}/v1/generations/{GENERATION}", within_s=SOON_S)
    finally:
        for port in ports:
            release_port(port)
    assert refused.status in (502, 503)
