"""Owns a trace collector: it accepts OTLP over HTTP as a real one does, and keeps the spans."""

import asyncio
import gzip
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.scripted_server import ReceivedRequest, ScriptedServer, whole_response

_KINDS = ("", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """One span. Ids are in hex; `parent` is empty if it has none."""

    process: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


class TraceCollector(ScriptedServer):
    """`spans` are all so far, in the order in which they arrived."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.spans: list[RecordedSpan] = []
        self.bytes = b""
        """All received bytes, to search them for what must not be there."""

    @property
    def environ(self) -> dict[str, str]:
        """Makes a process of ours send its traces here within 50 ms."""
        return {
            "OUTLIVE_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def of(self, trace: str) -> list[RecordedSpan]:
        return [span for span in self.spans if span.trace == trace]

    async def _take(self, request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        assert request.line.startswith("POST /v1/traces "), request.line
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        self.bytes += body
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = _attributes(of_process.resource.attributes)["service.name"]
            for of_scope in of_process.scope_spans:
                self.spans += [_recorded_span(process, span) for span in of_scope.spans]
        writer.write(whole_response("Content-Type: application/x-protobuf"))
        await writer.drain()


def _recorded_span(process: str, span: Any) -> RecordedSpan:
    return RecordedSpan(
        process,
        span.name,
        _KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code == 2,
        _attributes(span.attributes),
    )


def _attributes(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
