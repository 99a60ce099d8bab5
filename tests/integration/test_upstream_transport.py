"""The way of a worker's request to its provider over real sockets: connections, redirects, TLS, headers, keys."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from outlive import __version__
from outlive.shared.errors import UpstreamBroken, UpstreamRefused
from outlive.shared.settings import load
from outlive.worker.upstream.aiohttp_transport import Transport
from outlive.worker.upstream.upstream_clients import connect_one
from tests.support.certificates import server_context
from tests.support.scripted_server import ReceivedRequest, Respond, ScriptedServer
from tests.support.tcp_fault_proxy import TcpFaultProxy

pytestmark = pytest.mark.anyio

REQUEST: Final[dict[str, Any]] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
CHUNK: Final = {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}
STREAM: Final = f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n".encode()
KEY: Final = "sk-right-0123456789"
RESET: Final = struct.pack("ii", 1, 0)


def response(status: str = "200 OK", *headers: str, body: bytes = STREAM) -> bytes:
    """A whole response on a connection that stays open."""
    kind = "text/event-stream" if body is STREAM else "application/json"
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def always(data: bytes) -> Respond:
    """A script that sends this to each request."""

    async def respond(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return respond


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off without a byte, as a load balancer that has forgotten it does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def ask(upstream: Mapping[str, Any], environ: Mapping[str, str] | None = None, times: int = 1) -> str:
    """The text of an answer from one upstream, built from its settings as the worker builds it; the last of several,
    one after the other."""
    async with aclosing(client(upstream, environ)) as asked:
        for _ in range(times - 1):
            await text_of(asked)
        return await text_of(asked)


def client(upstream: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Any:
    """The worker's client for this upstream."""
    own = {**(environ or {}), "OUTLIVE_UPSTREAMS": json.dumps({"one": {"models": ["*"], **upstream}})}
    return connect_one("one", load(own), own)


async def text_of(upstream: Any) -> str:
    """Ask once, and read the whole answer."""
    async with asyncio.timeout(20), upstream.open(REQUEST, {}, lambda: None) as chunks:
        read = [chunk async for chunk in chunks]
    return "".join(chunk["choices"][0]["delta"]["content"] for chunk in read if isinstance(chunk, dict))


def at(server: ScriptedServer) -> str:
    """Its base URL."""
    return f"http://127.0.0.1:{server.port}/v1"


# -- Connections ------------------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    """Three answers, one after the other."""
    async with ScriptedServer(always(response()), keeps=True) as server:
        assert await ask({"base_url": at(server)}, times=3) == "Hello"
        assert [request.connection for request in server.requests] == [1, 1, 1]


@pytest.mark.parametrize("stale", [1, 6])
async def test_connections_that_died_while_idle_cost_nothing(stale: int) -> None:
    """The request is sent again at once, on the next and then on a fresh one; the caller sees no failure."""
    together = asyncio.Barrier(stale)
    answered = 0

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        if sum(each.connection == request.connection for each in server.requests) > 1:
            reset(writer)
            return
        if request.connection <= stale:
            await together.wait()
        writer.write(response())
        answered += 1

    async with ScriptedServer(respond, keeps=True) as server, aclosing(client({"base_url": at(server)})) as upstream:
        await asyncio.gather(*(text_of(upstream) for _ in range(stale)))
        assert server.connections == stale
        assert await text_of(upstream) == "Hello"
        assert server.connections == stale + 1
        assert len(server.requests) == stale + stale + 1
        assert answered == stale + 1


async def test_a_fresh_connection_that_dies_is_a_failure() -> None:
    """It is the caller who counts how often an upstream is asked."""

    async def respond(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with ScriptedServer(respond, keeps=True) as server:
        with pytest.raises(UpstreamBroken, match="The upstream `one` closed the connection") as broken:
            await ask({"base_url": at(server)})
        assert broken.value.failed_code == "upstream_connection"
        assert len(server.requests) == 1


async def test_a_reused_connection_that_dies_within_an_answer_is_a_failure() -> None:
    """The provider has begun, so it would be asked and paid twice."""

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.write(response())
            return
        writer.write(response()[:-30])
        await writer.drain()
        writer.close()

    async with ScriptedServer(respond, keeps=True) as server:
        with pytest.raises(UpstreamBroken):
            await ask({"base_url": at(server)}, times=2)
        assert len(server.requests) == 2


async def test_probes_keep_a_connection_alive() -> None:
    """A model may think for minutes without a byte, and routers forget what is silent."""
    # An answer that goes on, so that its connection is in use.
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    async with (
        ScriptedServer(always(begun), keeps=True) as server,
        aclosing(Transport(connections=1, connect_s=5.0)) as transport,
    ):
        answer = await transport.handle_async_request(httpx2.Request("POST", at(server), content=b"{}"))
        live = answer.extensions["outlive.body"]._response.connection.transport.get_extra_info("socket")
        assert live.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert live.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        await answer.aclose()


async def test_large_headers_are_read() -> None:
    """Gateways send policies and traces of many kilobytes."""
    async with ScriptedServer(always(response("200 OK", f"X-Policy: {'x' * 60_000}"))) as server:
        assert await ask({"base_url": at(server)}) == "Hello"


# -- Redirects --------------------------------------------------------------------------------------


def redirecting(status: int, where: str) -> Respond:
    """Requests go elsewhere, until they ask for a path with `moved`."""

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        moved = "moved" in request.line
        writer.write(response() if moved else response(f"{status} Moved", f"Location: {where}", body=b"{}"))
        await writer.drain()

    return respond


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("where", ["/moved/chat/completions", "http://127.0.0.1:{port}/moved", "moved"])
async def test_a_redirect_within_the_origin_is_followed(status: int, where: str) -> None:
    """With the same body and the key."""
    async with ScriptedServer(always(b""), keeps=True) as server:
        server.respond = redirecting(status, where.format(port=server.port))
        assert await ask({"base_url": at(server), "key_env": "KEY"}, {"KEY": KEY}) == "Hello"
        first, second = server.requests
        assert (second.body, second.headers["authorization"]) == (first.body, f"Bearer {KEY}")
        assert second.line.startswith("POST ")


async def test_a_redirect_to_https_of_the_same_host_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base URL that lacks its `s`."""
    tls, trusted = server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with ScriptedServer(always(response()), tls=tls) as secure, ScriptedServer(always(b"")) as plain:
        plain.respond = redirecting(308, f"https://127.0.0.1:{secure.port}/v1/chat/completions")
        assert await ask({"base_url": at(plain), "key_env": "KEY"}, {"KEY": KEY}) == "Hello"
        assert secure.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_to_another_origin_is_not_followed(status: int) -> None:
    """The key goes to nobody but the server that the operator named."""
    async with ScriptedServer(always(response())) as other, ScriptedServer(always(b"")) as server:
        for where in (f"http://127.0.0.1:{other.port}/v1", f"http://example.com:{server.port}/v1"):
            server.respond = redirecting(status, where)
            with pytest.raises(UpstreamRefused, match=str(status)):
                await ask({"base_url": at(server), "key_env": "KEY"}, {"KEY": KEY})
        assert not other.requests


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_loses_the_request_is_not_followed(status: int) -> None:
    """Clients turn these into a GET."""
    async with ScriptedServer(redirecting(status, "/moved"), keeps=True) as server:
        with pytest.raises(UpstreamRefused, match=str(status)):
            await ask({"base_url": at(server)})
        assert len(server.requests) == 1


async def test_a_redirect_without_end_ends() -> None:
    """A server that sends each request to itself."""
    async with ScriptedServer(redirecting(308, "/again"), keeps=True) as server:
        with pytest.raises(UpstreamRefused, match="308"):
            await ask({"base_url": at(server)})
        assert len(server.requests) <= 8


# -- TLS and the time to connect ----------------------------------------------------------------------


async def test_the_time_to_connect_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake over a slow link: long enough for one setting, too short for another."""
    tls, trusted = server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with ScriptedServer(always(response()), tls=tls) as server:
        link = TcpFaultProxy(server.port)
        link.latency_s = 0.3
        await link.start()
        try:
            url = f"https://127.0.0.1:{link.port}/v1"
            assert await ask({"base_url": url, "connect_s": 15}) == "Hello"
            with pytest.raises(UpstreamBroken, match="gave no connection in time") as broken:
                await ask({"base_url": url, "connect_s": 0.2})
            assert broken.value.failed_code == "upstream_connection"
        finally:
            await link.stop()


# -- Headers ----------------------------------------------------------------------------------------


async def test_a_request_says_who_asks_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No telemetry of the SDK, no account of another provider, no key where there is none."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-canary")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Canary: 1\nAuthorization: Bearer canary")
    async with ScriptedServer(always(response())) as server:
        await ask({"base_url": at(server)})
        (request,) = server.requests
    assert request.headers["user-agent"] == f"outlive/{__version__}"
    assert {name.lower() for name in request.names} == {
        "host", "connection", "accept", "accept-encoding", "content-type", "content-length", "user-agent"
    }  # fmt: skip


async def test_an_account_that_the_operator_names_is_sent() -> None:
    """By `headers`, each value from where it says."""
    headers = {"OpenAI-Organization": "org-1", "openai-project": "${PROJECT}", "Authorization": "Basic ${LOGIN}"}
    async with ScriptedServer(always(response())) as server:
        await ask({"base_url": at(server), "headers": headers}, {"PROJECT": "proj-1", "LOGIN": "dTpw"})
        (request,) = server.requests
    assert request.headers["openai-organization"] == "org-1"
    assert request.headers["openai-project"] == "proj-1"
    assert request.headers["authorization"] == "Basic dTpw"


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/v1"])
async def test_an_upstream_without_an_address_is_openai(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says: the SDK reads it by itself, and takes an empty variable for an address."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    async with aclosing(client({"models": ["*"]})) as upstream:
        assert str(upstream._client.base_url) == "https://api.openai.com/v1/"


# -- Keys -------------------------------------------------------------------------------------------


def wants(keys: list[str]) -> Respond:
    """A provider that accepts only the last of `keys`."""

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        right = request.headers.get("authorization") == f"Bearer {keys[-1]}"
        writer.write(response() if right else response("401 Unauthorized", body=b'{"error": {"message": "bad key"}}'))
        await writer.drain()

    return respond


async def test_a_key_file_is_rotated_without_a_restart(tmp_path: Path) -> None:
    """Also when the file is replaced by another one."""
    file, keys = tmp_path / "key", ["sk-first-0123456789"]
    file.write_text(f"{keys[-1]}\n")
    async with ScriptedServer(wants(keys), keeps=True) as server:
        async with aclosing(client({"base_url": at(server), "key_file": str(file)})) as upstream:
            assert await text_of(upstream) == "Hello"
            keys.append("sk-second-0123456789-longer")
            file.write_text(f"{keys[-1]}\n")
            assert await text_of(upstream) == "Hello"
            keys.append("sk-third-0123456789")
            (tmp_path / "new").write_text(keys[-1])
            (tmp_path / "new").rename(file)
            assert await text_of(upstream) == "Hello"
        assert len(server.requests) == 3


async def test_a_key_that_changed_under_way_is_tried_once_more(tmp_path: Path) -> None:
    """The provider knows the new key before we do."""
    file, keys = tmp_path / "key", ["sk-first-0123456789"]
    file.write_text(keys[-1])
    accept = wants(["sk-second-0123456789"])

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            file.write_text("sk-second-0123456789")
        await accept(request, writer)

    async with ScriptedServer(respond, keeps=True) as server:
        assert await ask({"base_url": at(server), "key_file": str(file)}) == "Hello"
        assert len(server.requests) == 2


async def test_a_key_that_did_not_change_is_tried_once(tmp_path: Path) -> None:
    """A refusal stays one."""
    file = tmp_path / "key"
    file.write_text("sk-wrong-0123456789")
    async with ScriptedServer(wants([KEY]), keeps=True) as server:
        with pytest.raises(UpstreamRefused) as refused:
            await ask({"base_url": at(server), "key_file": str(file)})
        assert refused.value.failed_code == "upstream_auth"
        assert len(server.requests) == 1


@pytest.mark.parametrize("member", [{"key_file": "{file}"}, {"headers": {"api-key": "file:{file}"}}])
async def test_a_file_that_is_gone_fails_the_answer_by_name(tmp_path: Path, member: dict[str, Any]) -> None:
    """The worker goes on; the answer says which file."""
    file = tmp_path / "key"
    file.write_text(KEY)
    written = json.loads(json.dumps(member).replace("{file}", str(file)))
    async with ScriptedServer(always(response()), keeps=True) as server:
        upstream = client({"base_url": at(server), **written})
        async with aclosing(upstream):
            assert await text_of(upstream) == "Hello"
            file.unlink()
            with pytest.raises(UpstreamRefused, match=str(file)) as refused:
                await text_of(upstream)
        assert refused.value.failed_code == "upstream_auth"
        assert len(server.requests) == 1
