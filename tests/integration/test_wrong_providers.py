"""The doctor against providers that are wrong, each in its own way: each has its own sentence, and what to do."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from outlive.deploy.doctor import inspections
from outlive.deploy.doctor.findings import Finding, Grade
from outlive.deploy.doctor.inspections import inspect_upstreams
from outlive.shared.settings import load
from tests.support.certificates import server_context
from tests.support.ports import claim_port, release_port
from tests.support.scripted_server import ReceivedRequest, ScriptedServer

pytestmark = pytest.mark.anyio

KEY: Final = "sk-canary-0123456789"
LOGIN_PAGE: Final = b"<!doctype html><html><head><title>Sign in to Acme</title></head></html>"


def page(status: str, kind: str, body: bytes) -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def refused(_folder: Path) -> AsyncIterator[str]:
    """Nobody listens there."""
    port = claim_port()
    yield f"http://127.0.0.1:{port}/v1"
    release_port(port)


@asynccontextmanager
async def unknown_host(_folder: Path) -> AsyncIterator[str]:
    """A name that will never be given to anybody (RFC 2606)."""
    yield "http://no-such-host.invalid/v1"


@asynccontextmanager
async def unknown_authority(folder: Path) -> AsyncIterator[str]:
    """Its certificate comes from an authority that nobody here trusts."""
    tls, _ = server_context(folder)
    async with ScriptedServer(answering(page("200 OK", "application/json", b'{"data": []}')), tls=tls) as server:
        yield f"https://localhost:{server.port}/v1"


@asynccontextmanager
async def without_tls(_folder: Path) -> AsyncIterator[str]:
    """It speaks plain HTTP where the URL says https."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(page("400 Bad Request", "text/plain", b"plain HTTP"))
        await writer.drain()
        writer.close()

    port = claim_port()
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    yield f"https://127.0.0.1:{port}/v1"
    server.close()
    release_port(port)


@asynccontextmanager
async def silent(_folder: Path) -> AsyncIterator[str]:
    """It accepts the request, and never answers."""

    async def wait(_request: ReceivedRequest, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with ScriptedServer(wait) as server:
        yield f"http://127.0.0.1:{server.port}/v1"


def saying(status: str, kind: str, body: bytes) -> Callable[[Path], AbstractAsyncContextManager[str]]:
    """It answers everything with this."""

    @asynccontextmanager
    async def provider(_folder: Path) -> AsyncIterator[str]:
        async with ScriptedServer(answering(page(status, kind, body))) as server:
            yield f"http://127.0.0.1:{server.port}/v1"

    return provider


def answering(data: bytes) -> Any:
    """A script that sends this to each request."""

    async def respond(_request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return respond


def error(message: str) -> bytes:
    """OpenAI's shape of an error."""
    return json.dumps({"error": {"message": message}}).encode()


WRONG_PROVIDERS: Final = {
    "refused": (refused, Grade.WRONG, "The upstream `default` refused the connection at 127.0.0.1:"),
    "unknown host": (unknown_host, Grade.WRONG, "The upstream `default` has a host that is not known here: no-such"),
    "unknown authority": (unknown_authority, Grade.WRONG, "The upstream `default` could not be reached by TLS: unable"),
    "no TLS": (without_tls, Grade.WRONG, "The upstream `default` could not be reached by TLS: "),
    "silent": (silent, Grade.WRONG, "The upstream `default` did not answer within "),
    "401": (
        saying("401 Unauthorized", "application/json", error(f"Incorrect API key provided: {KEY}")),
        Grade.WRONG,
        "It refuses the key. The provider answered 401: Incorrect API key provided: [key]",
    ),
    "404": (
        saying("404 Not Found", "text/plain", b"404 page not found"),
        Grade.WARNING,
        "It lists no models, so the key was not tried. The provider answered 404: 404 page not found",
    ),
    "login page": (
        saying("200 OK", "text/html; charset=utf-8", LOGIN_PAGE),
        Grade.WRONG,
        "The provider answered with text/html (a page with the title “Sign in to Acme”), not with a list of models.",
    ),
    "500": (
        saying("500 Internal Server Error", "application/json", error("It broke.")),
        Grade.WARNING,
        "The provider answered 500: It broke.",
    ),
    "JSON that is no list": (
        saying("200 OK", "application/json", b'{"status": "ok"}'),
        Grade.WRONG,
        "The provider answered with application/json, not with a list of models. Is the base URL right?",
    ),
    "an error that begins with 200": (
        saying("200 OK", "application/json", error("No such model group.")),
        Grade.WRONG,
        "No such model group.",
    ),
    "another server": (
        saying("200 OK", "text/plain; charset=utf-8", b"Ollama is running"),
        Grade.WRONG,
        "The provider answered with text/plain, not with a list of models. Is the base URL right?",
    ),
    "a list without end": (
        saying("200 OK", "application/json", b"[" + b" " * 5_000_000),
        Grade.WRONG,
        "The provider answered with application/json, not with a list of models.",
    ),
}


@pytest.mark.parametrize(("provider", "grade", "sentence"), WRONG_PROVIDERS.values(), ids=WRONG_PROVIDERS)
async def test_a_wrong_provider_has_its_own_sentence(
    provider: Callable[[Path], AbstractAsyncContextManager[str]],
    grade: Grade,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker's, with the upstream's name where no response came; never the key."""
    monkeypatch.setattr(inspections, "_UPSTREAM_S", 0.3)
    async with provider(tmp_path) as url:
        upstream = {"default": {"base_url": url, "key_env": "OPENAI_API_KEY", "models": ["*"], "connect_s": 5}}
        environ = {"OUTLIVE_UPSTREAMS": json.dumps(upstream), "OPENAI_API_KEY": KEY}
        (finding,) = await inspect_upstreams(load(environ), environ)
    check_finding(finding, grade, sentence)


async def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that must be looked at, not the provider."""
    port = claim_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    environ = {"OPENAI_BASE_URL": "https://example.com/v1"}
    (finding,) = await inspect_upstreams(load(environ), environ)
    release_port(port)
    check_finding(finding, Grade.WRONG, "The upstream `default` could not be reached: the proxy of HTTP_PROXY or ")


async def test_a_provider_that_is_right_is_asked_as_a_worker_asks() -> None:
    """With the key, the headers and the query of its upstream; a bare list of models is one, too."""
    async with ScriptedServer(answering(page("200 OK", "application/json", b'[{"id": "a"}, {"id": "b"}]'))) as server:
        upstream = {
            "base_url": f"http://127.0.0.1:{server.port}/v1", "key_env": "KEY", "models": ["*"],
            "headers": {"X-Team": "blue"}, "query": {"api-version": "1"},
        }  # fmt: skip
        environ = {"OUTLIVE_UPSTREAMS": json.dumps({"one": upstream}), "KEY": KEY}
        (finding,) = await inspect_upstreams(load(environ), environ)
        (request,) = server.requests
    assert finding == Finding(Grade.FINE, "provider one", "It takes the key and lists 2 models.")
    assert request.line == "GET /v1/models?api-version=1 HTTP/1.1"
    assert (request.headers["authorization"], request.headers["x-team"]) == (f"Bearer {KEY}", "blue")


def check_finding(finding: Finding, grade: Grade, sentence: str) -> None:
    """Check its grade and words, that it says what to do, and that it holds no key."""
    assert finding.state.startswith(sentence), finding
    assert finding.grade is grade
    assert finding.remedy
    assert KEY not in finding.state + finding.remedy
