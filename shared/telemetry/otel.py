"""Owns recording traces with OpenTelemetry's SDK and sending them by OTLP. The only file that uses the SDK.

Imported only with `OUTLIVE_TRACES`. OpenTelemetry's own variables set the address, the sampling and the interval
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`...). The SDK's own thread sends, from a bounded queue: while the
collector is away, spans are lost and nothing else.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from outlive.shared.errors import OutliveError, UpstreamError
from outlive.shared.telemetry.traces import Kind, Span, Traces, Value

_HEADER: Final = "traceparent"
_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
}
_CLOSE_S: Final = 3.0
"""At its end a process waits no longer for a collector that is away."""
_context: Final = TraceContextTextMapPropagator()


class RecordedTraces(Traces):
    """The tracer of one process."""

    def __init__(self, process: str) -> None:
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", f"outlive-{process}")})
        # Not the global provider: spans that libraries record of streams are useless to us.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("outlive")

    def under(self, traceparent: str) -> Span:
        return _Recorded(self._tracer, traceparent, None)

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class _Recorded(Span):
    """A span of OpenTelemetry; without `span`, the parent that another process records."""

    def __init__(self, tracer: trace.Tracer, traceparent: str, span: trace.Span | None) -> None:
        super().__init__(traceparent)
        self._tracer = tracer
        self._span = span

    @contextmanager
    def child(self, name: str, kind: Kind, attributes: Mapping[str, Value]) -> Iterator[Span]:
        parent = _context.extract({_HEADER: self.traceparent}) if self.traceparent else None
        span = self._tracer.start_span(name, parent, _KINDS[kind], dict(attributes))
        carrier: dict[str, str] = {}
        _context.inject(carrier, trace.set_span_in_context(span))
        ours = _Recorded(self._tracer, carrier.get(_HEADER, ""), span)
        try:
            yield ours
        except Exception as error:
            ours.fail(_code_of(error))
            raise
        finally:
            span.end()

    def set(self, name: str, value: Value) -> None:
        if self._span is not None:
            self._span.set_attribute(name, value)

    def fail(self, code: str) -> None:
        if self._span is not None:
            # A code and no text: a provider's error may repeat the prompt.
            self._span.set_attribute("error.type", code)
            self._span.set_status(Status(StatusCode.ERROR))


def _code_of(error: Exception) -> str:
    cause = getattr(error, "cause", error)
    if isinstance(cause, UpstreamError):
        return cause.failed_code
    return cause.code if isinstance(cause, OutliveError) else type(cause).__name__
