"""Owns the model as attempts ask it: which upstream serves a request, how long it may be silent, what is measured.

One per process; an attempt uses one that is `traced`. Knows neither the log nor the SDK.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from outlive.shared.telemetry.traces import Span
from outlive.worker.attempt.request_telemetry import UpstreamCall, span_attributes, span_name
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.timers import Timers


class Upstream(Protocol):
    """A provider."""

    @property
    def name(self) -> str: ...

    @property
    def permit(self) -> AbstractAsyncContextManager[Any]:
        """Held for each request: only so many are open at once."""

    @property
    def max_output_tokens(self) -> int: ...

    def open(
        self, request: dict[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        """The answer's chunks. Leaving the context closes the socket. Raises `UpstreamError`."""


ChooseUpstream = Callable[[Mapping[str, Any]], Upstream]
"""By what the request says. Raises `UpstreamRefused`."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a provider may be silent."""

    first_token_s: float
    between_tokens_s: float


@dataclass(frozen=True, slots=True)
class Model:
    """All models that this worker can ask."""

    choose_upstream: ChooseUpstream
    timeouts: Timeouts
    metrics: WorkerMetrics
    timers: Timers
    span: Span = field(default_factory=lambda: Span(""))
    """The work that its calls are a part of."""

    def traced(self, span: Span) -> Self:
        """The same, with all calls as parts of `span`."""
        return replace(self, span=span)

    @contextmanager
    def call(self, request: Mapping[str, Any], upstream: str) -> Iterator[UpstreamCall]:
        """Measure one request to this upstream, for as long as its answer takes."""
        attributes = span_attributes(request) | {"outlive.upstream": upstream}
        with self.span.child(span_name(request), "client", attributes) as span:
            yield UpstreamCall(self.metrics, span, upstream, self.timers.time)
