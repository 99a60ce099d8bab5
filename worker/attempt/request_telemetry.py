"""Owns what is told of one question to the provider: to the measures, and to the trace it is a part of.

The span's names are OpenTelemetry's GenAI conventions, literally: the constants of its Python package
are all marked as moved, and the conventions are still in development. Neither prompt nor answer is
among what is told.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from outlive.shared.model.events import Usage
from outlive.shared.telemetry.traces import Span, Value
from outlive.worker.metrics import WorkerMetrics

_NUMBERS: Final = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
_NAME_CHARS: Final = 200


class UpstreamCall:
    """One request sent to a provider."""

    def __init__(self, measures: WorkerMetrics, span: Span, upstream: str) -> None:
        self._measures = measures
        self._upstream = upstream
        self._span = span
        self._began = asyncio.get_running_loop().time()

    @property
    def headers(self) -> dict[str, str]:
        """For the provider, whose own spans may then join the trace."""
        return {"traceparent": self._span.traceparent} if self._span.traceparent else {}

    def answered(self, chunk: Any) -> None:
        """The first piece of an answer came, in this chunk."""
        after_s = asyncio.get_running_loop().time() - self._began
        self._measures.upstream_spoke(self._upstream, after_s)
        self._span.set("gen_ai.response.time_to_first_chunk", after_s)
        for field in ("id", "model"):
            if isinstance(value := chunk.get(field), str):
                self._span.set(f"gen_ai.response.{field}", value[:_NAME_CHARS])

    def ended(self, finish_reason: str, usage: Usage | None) -> None:
        """The provider said its last."""
        self._span.set("gen_ai.response.finish_reasons", [finish_reason[:_NAME_CHARS]])
        if usage is not None:
            self._span.set("gen_ai.usage.input_tokens", usage.prompt_tokens)
            self._span.set("gen_ai.usage.output_tokens", usage.completion_tokens)

    def failed(self, code: str) -> None:
        """It broke off, or would not answer."""
        self._measures.upstream_failed(self._upstream, code)
        self._span.fail(code)


OpenCall = Callable[[Mapping[str, Any], str], AbstractContextManager[UpstreamCall]]
"""The request, and the name of the upstream."""


@contextmanager
def asking(measures: WorkerMetrics, span: Span, request: Mapping[str, Any], upstream: str) -> Iterator[UpstreamCall]:
    """One question, as a part of `span`, for as long as its answer takes."""
    told = _asked(request) | {"outlive.upstream": upstream}
    with span.child(f"chat {_model(request)}", "client", told) as own:
        yield UpstreamCall(measures, own, upstream)


def _asked(request: Mapping[str, Any]) -> dict[str, Value]:
    told: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        # The protocol's, since whose server it is we do not know.
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": _model(request),
        "gen_ai.request.stream": True,
    }
    for field, name in _NUMBERS.items():
        if isinstance(value := request.get(field), int | float) and not isinstance(value, bool):
            told[name] = value
    return told


def _model(request: Mapping[str, Any]) -> str:
    return str(request.get("model", ""))[:_NAME_CHARS]
