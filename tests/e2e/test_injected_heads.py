"""What callers put into headers, paths and names has no effect: no response gains a header, no log a record."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.support.injections import INJECTIONS
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import ScriptedProvider, error_response, stream
from tests.support.stack import Stack
from tests.support.tenants import AUTH, api_key
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MARK: Final = "x-injected"
FORGED: Final = '{"level":"error","message":"forged"}'
PAYLOADS: Final = tuple(
    payload.encode("utf-8", "surrogatepass")
    for payload in (
        f"a\r\n{MARK}: 1", f"a\n{MARK}: 1", f"a\r{MARK}: 1", f"a\r\n {MARK}: 1",
        f"a\r\n\r\nHTTP/1.1 200 OK\r\n{MARK}: 1\r\n\r\n",
        f"a\u010d\u010a{MARK}: 1", f"a\x85{MARK}: 1", f"a\u2028{MARK}: 1", f"a\0{MARK}: 1",
        f"\n{FORGED}\n", "\r\n2026-01-01T00:00:00.000000Z [error] forged\r\n",
        "\x1b[2J\x1b]0;forged\x07\x1b[31m", "\x9b31m", "\ud800",
    )
)  # fmt: skip
ALLOWED: Final = {
    "date", "cache-control", "x-content-type-options", "content-length", "content-type", "connection", "location",
    "allow", "www-authenticate", "ratelimit", "ratelimit-policy", "retry-after", "vary", "transfer-encoding",
    "x-accel-buffering",
    "access-control-expose-headers", "x-outlive-generation", "x-outlive-events", "x-request-id", "x-should-retry",
    "content-security-policy", "referrer-policy", "x-frame-options", "cross-origin-opener-policy", "permissions-policy",
    "accept-ranges", "etag", "last-modified",
}  # fmt: skip
"""Every header we send. Any other header came from outside."""

FIELDS: Final = (
    "Authorization", "Cookie", "Host", "Idempotency-Key", "Last-Event-ID", "Origin", "Referer", "User-Agent",
    "X-Forwarded-For", "X-Request-Id", "X-Outlive-On-Disconnect", "traceparent", "tracestate", "Content-Type",
    "Accept", "Range",
)  # fmt: skip
ROUTES: Final = (
    "/v1/generations",
    "/v1/chat/completions/{}",
    "/v1/responses/{}",
    "/v1/generations/{}/events",
    "/",
    "/static/{}",
)
QUERIES: Final = ("before", "status", "limit", "after", "fold", "token", "starting_after", "include_usage", "stream")


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process and one worker log JSON, another pair logs for people."""
    settings = AUTH | {"cors_origins": "https://page.example", "proxies": "127.0.0.1"}
    # The test creates generations faster than workers may complete them.
    settings |= {"tenant_requests": "100000", "tenant_generations": "100000"}
    async with ScriptedProvider() as provider:
        for n, payload in enumerate(PAYLOADS):
            words = payload.decode("utf-8", "surrogatepass")
            provider.scripts[f"says {n}"] = stream({"content": "a"}, {"content": words}, {"finish": words})
            provider.scripts[f"fails {n}"] = error_response(400, words)
        stack = Stack(apis=2, workers=2, redis=redis_server, environ=provider.environ, settings=settings)
        for process in (stack.apis[0], stack.workers[0]):
            process.environ["OUTLIVE_LOG_FORMAT"] = "json"
        async with stack:
            yield stack


async def answers_to(stack: Stack, api: int, head: bytes, body: bytes = b"") -> list[tuple[int, dict[str, str]]]:
    """Every response to these bytes, parsed only by the grammar of HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.apis[api].port)
    try:
        writer.write(head + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(10.0):
            received = await reader.read()
    finally:
        writer.close()
    return list(_parse(received))


def _parse(received: bytes) -> Any:
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        assert re.fullmatch(rb"HTTP/1\.1 \d{3} [ -~]*(\r\n[a-zA-Z-]+: [ -~]*)*", head), head
        status, *lines = head.decode("ascii").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(fields) == len(lines), "a header that stands twice"
        # An event stream is the last response: its chunks are the rest.
        received = received[int(fields["content-length"]) :] if "content-length" in fields else b""
        yield int(status.split()[1]), fields


def check_answers(answers: list[tuple[int, dict[str, str]]], sent: object) -> None:
    assert answers, sent
    for status, fields in answers:
        assert set(fields) <= ALLOWED, (sent, set(fields) - ALLOWED)
        assert status < 500, (sent, status)


@pytest.mark.rule("R61")
@pytest.mark.parametrize("payload", range(len(PAYLOADS)))
async def test_no_header_of_a_request_makes_one_of_an_answer(stack: Stack, payload: int) -> None:
    """Each header that we read, with each payload as it is: refused, or a value like any other."""
    words, key = PAYLOADS[payload], await api_key(stack, "acme")
    body = json.dumps({"model": f"says {payload}", "messages": [{"role": "user", "content": "x"}]}).encode()
    for api, field in enumerate(FIELDS):
        head = b"POST /v1/generations HTTP/1.1"
        for name, value in {
            "Host": b"here",
            "Authorization": f"Bearer {key}".encode(),
            "Content-Type": b"application/json",
        }.items():
            if name != field:
                head += b"\r\n%b: %b" % (name.encode(), value)
        head += b"\r\n%b: %b" % (field.encode(), words if field != "Authorization" else b"Bearer " + words)
        check_answers(await answers_to(stack, api % 2, head, body), (field, words))
    plain = f"POST /v1/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}"
    assert [status for status, _ in await answers_to(stack, 0, plain.encode(), body)] == [201]


@pytest.mark.rule("R61")
async def test_no_path_or_query_makes_one(stack: Stack) -> None:
    """Percent-encoded, as everything arrives there, and as raw bytes, which are not valid HTTP."""
    key = await api_key(stack, "acme")
    for n, words in enumerate(PAYLOADS):
        for text in (quote(words, safe=""), words.decode("latin-1")):
            for target in (
                *(route.format(text) for route in ROUTES),
                *(f"/v1/generations?{name}={text}" for name in QUERIES),
            ):
                head = f"GET {target} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}".encode("latin-1")
                check_answers(await answers_to(stack, n % 2, head), target)


@pytest.mark.rule("R61")
async def test_logs_have_one_record_a_line_and_none_that_was_sent(stack: Stack) -> None:
    """After all of the above, and after answers with the same texts: JSON stays JSON, and the other log has only our
    records."""
    key = await api_key(stack, "acme")
    bearer = [("Authorization", f"Bearer {key}")]
    made = [
        (
            await stack.post({"model": f"{what} {n}", "messages": [{"role": "user", "content": "x"}]}, headers=bearer)
        ).json()["id"]
        for what in ("says", "fails")
        for n in range(len(PAYLOADS))
    ]
    odd = [text for text in INJECTIONS if text and not re.search("[\ud800-\udfff]", text)]
    for text in odd:
        refused = await stack.post({"model": text, "messages": text, "metadata": {text: text}}, api=1, headers=bearer)
        assert refused.status == 400

    def ended() -> bool:
        logged = "".join(worker.whole_output() for worker in stack.workers)
        return all(generation_id in logged for generation_id in made)

    await until(ended, 20.0, "all logged")
    for process in (stack.apis[0], stack.workers[0]):
        for line in process.whole_output().splitlines():
            record = json.loads(line)
            assert record["process"] in ("api", "worker")
            assert record["message"] != "forged"
    for other in (stack.apis[1], stack.workers[1]):
        for line in other.whole_output().split("\n"):
            assert re.fullmatch(r"(\d{4}-\d\d-\d\dT[\d:.]+Z \[\w+ *\] .*)?", line), line
            assert "forged" not in line
    for each in (*stack.apis, *stack.workers):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", each.whole_output())
