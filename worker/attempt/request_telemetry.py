"""Owns what metrics and traces record of one request to a provider.

The span's names are OpenTelemetry's GenAI conventions, literally: the constants of its Python package are all marked as
moved, and the conventions are still in development. Neither the prompt nor the answer is recorded.
"""

from collections.abc import Mapping
from typing import Any, Final

from outlive.shared.model.events import Usage
from outlive.shared.telemetry.traces import Span, Value
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.timers import Clock

_NUMBERS: Final = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
_NAME_CHARS: Final = 200


class UpstreamCall:
    """One request sent to a provider, since now."""

    def __init__(self, metrics: WorkerMetrics, span: Span, upstream: str, clock: Clock) -> None:
        self._metrics = metrics
        self._upstream = upstream
        self._span = span
        self._clock = clock
        self._began = clock()

    @property
    def headers(self) -> dict[str, str]:
        """For the provider, whose own spans may then join the trace."""
        return {"traceparent": self._span.traceparent} if self._span.traceparent else {}

    def answered(self, chunk: Any) -> None:
        """The first piece of the answer came, in this chunk."""
        after_s = self._clock() - self._began
        self._metrics.upstream_answered(self._upstream, after_s)
        self._span.set("gen_ai.response.time_to_first_chunk", after_s)
        for field in ("id", "model"):
            if isinstance(value := chunk.get(field), str):
                self._span.set(f"gen_ai.response.{field}", value[:_NAME_CHARS])

    def ended(self, finish_reason: str, usage: Usage | None) -> None:
        """The answer ended."""
        self._span.set("gen_ai.response.finish_reasons", [finish_reason[:_NAME_CHARS]])
        if usage is not None:
            self._span.set("gen_ai.usage.input_tokens", usage.prompt_tokens)
            self._span.set("gen_ai.usage.output_tokens", usage.completion_tokens)

    def failed(self, code: str) -> None:
        """The provider broke off, or refused."""
        self._metrics.upstream_failed(self._upstream, code)
        self._span.fail(code)


def span_name(request: Mapping[str, Any]) -> str:
    return f"chat {_model(request)}"


def span_attributes(request: Mapping[str, Any]) -> dict[str, Value]:
    """What a span says of a request; parameters of another type than theirs are left out."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        # The protocol's provider, because we do not know whose server it is.
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": _model(request),
        "gen_ai.request.stream": True,
    }
    for field, name in _NUMBERS.items():
        if isinstance(value := request.get(field), int | float) and not isinstance(value, bool):
            attributes[name] = value
    return attributes


def _model(request: Mapping[str, Any]) -> str:
    return str(request.get("model", ""))[:_NAME_CHARS]
