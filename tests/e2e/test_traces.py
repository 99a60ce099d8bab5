"""One trace from the caller to the provider, collected from real processes by OTLP."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from tests.support.processes import ROOT
from tests.support.redis_server import RedisServer
from tests.support.scripted_server import ReceivedRequest, ScriptedServer
from tests.support.stack import Stack, chat, demo, unique
from tests.support.trace_collector import RecordedSpan, TraceCollector
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PROMPT = "a prompt that no collector may see"


@pytest.fixture(scope="module")
async def collector(anyio_backend: str) -> AsyncIterator[TraceCollector]:
    async with TraceCollector() as running:
        yield running


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer, collector: TraceCollector) -> AsyncIterator[Stack]:
    async with Stack(redis=redis_server, environ=collector.environ) as running:
        yield running


def traceparent() -> tuple[str, str, str]:
    """The header of a caller, and the ids of trace and span in it."""
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    return f"00-{trace}-{span}-01", trace, span


async def spans_of(collector: TraceCollector, trace: str, count: int) -> list[RecordedSpan]:
    """Wait for so many spans of this trace."""

    def here() -> list[RecordedSpan]:
        spans = collector.of(trace)
        return spans if len(spans) >= count else []

    return await until(here, 10.0, f"{count} spans of {trace}")


async def test_one_trace_goes_from_the_caller_through_queue_and_worker_to_the_provider(
    stack: Stack, collector: TraceCollector
) -> None:
    """Each span is a child of the one before; the upstream request has the attributes of the GenAI conventions."""
    header, trace, caller = traceparent()
    body = chat(demo(seed=unique(), tokens=5, pace_s=0), PROMPT, temperature=0.5, max_tokens=99)
    answer = await stack.post(body, headers=[("traceparent", header)])
    generation_id = answer.json()["id"]
    assert (await stack.closed(generation_id))["status"] == "completed"

    made, attempt, asked = sorted(
        await spans_of(collector, trace, 3), key=lambda span: ("server", "consumer", "client").index(span.kind)
    )
    assert [made.parent, attempt.parent, asked.parent] == [caller, made.id, attempt.id]
    assert [made.process, attempt.process, asked.process] == ["outlive-api", "outlive-worker", "outlive-worker"]
    assert [made.name, attempt.name, asked.name] == ["create generation", "attempt", f"chat {body['model']}"]
    assert not any(span.failed for span in (made, attempt, asked))
    assert made.attributes["outlive.generation.id"] == attempt.attributes["outlive.generation.id"] == generation_id
    assert (attempt.attributes["outlive.attempt"], attempt.attributes["outlive.attempt.reason"]) == (1, "started")
    assert asked.attributes.pop("gen_ai.response.time_to_first_chunk") > 0
    assert asked.attributes.pop("gen_ai.response.id").startswith("chatcmpl-")
    assert asked.attributes.pop("gen_ai.usage.input_tokens") > 0
    assert asked.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": body["model"],
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": body["model"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.output_tokens": 5,
        "outlive.upstream": "default",
    }
    assert PROMPT.encode() not in collector.bytes
    assert b"sk-none-needed" not in collector.bytes


async def test_what_breaks_off_is_seen_attempt_by_attempt(stack: Stack, collector: TraceCollector) -> None:
    """All three in the one trace, each with its upstream request, and with a code instead of a message."""
    header, trace, _ = traceparent()
    answer = await stack.post(chat(demo(fault="reset", after=2, pace_s=0)), headers=[("traceparent", header)])
    assert (await stack.closed(answer.json()["id"]))["status"] == "failed"
    spans = await spans_of(collector, trace, 7)
    attempts = [span for span in spans if span.kind == "consumer"]
    assert [span.attributes["outlive.attempt"] for span in attempts] == [1, 2, 3]
    assert attempts[-1].attributes["error.type"] == "upstream_connection"
    asked = [span for span in spans if span.kind == "client"]
    assert [(span.parent, span.failed, span.attributes["error.type"]) for span in asked] == [
        (attempt.id, True, "upstream_connection") for attempt in attempts
    ]


async def test_who_asks_without_a_trace_gets_one_and_a_bad_one_does_no_harm(
    stack: Stack, collector: TraceCollector
) -> None:
    """The request is served in both cases."""
    before = {span.trace for span in collector.spans}
    for header in ([], [("traceparent", "00-nonsense-01")]):
        answer = await stack.post(chat(demo(tokens=1, pace_s=0)), headers=header)
        assert (await stack.closed(answer.json()["id"]))["status"] == "completed"

    def fresh() -> bool:
        traces = {span.trace for span in collector.spans} - before
        return len(traces) == 2 and all(len(collector.of(trace)) == 3 for trace in traces)

    await until(fresh, 10.0, "two traces of three spans")


async def test_without_opentelemetry_the_callers_trace_still_reaches_the_provider(redis_server: RedisServer) -> None:
    """It is passed on unchanged, for the spans of others."""

    async def provider(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for delta, reason in (({"content": "So."}, None), ({}, "stop")):
            chunk = {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await writer.drain()

    header, _, _ = traceparent()
    async with ScriptedServer(provider) as origin:
        environ = {"OPENAI_BASE_URL": f"http://127.0.0.1:{origin.port}/v1"}
        async with Stack(redis=redis_server, environ=environ) as stack:
            answer = await stack.post(chat("any"), headers=[("traceparent", header)])
            assert (await stack.closed(answer.json()["id"]))["text"] == "So."
    assert [asked.headers["traceparent"] for asked in origin.requests] == [header]


def test_who_does_not_trace_imports_no_sdk() -> None:
    """It need not be installed; the API of OpenTelemetry comes with FastAPI."""
    code = "import sys, outlive.api.app, outlive.worker.main; from outlive.shared.telemetry.traces import traces_of\n"
    code += "traces_of('x', recorded=False)\n"
    code += "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_tracing_without_the_extra_is_said_in_one_sentence() -> None:
    """Here by hiding the SDK, which tests have installed."""
    code = "import sys; sys.modules['opentelemetry.sdk'] = None; from outlive.cli import main; main(['api'])"
    environ = dict(os.environ) | {"OUTLIVE_TRACES": "true", "OUTLIVE_REDIS_URL": "redis://127.0.0.1:1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "install outlive[otel]" in ran.stderr
    assert "Traceback" not in ran.stderr
