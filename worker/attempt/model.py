"""Owns the model as attempts ask it: which upstream serves a request, how long it may be silent, what is measured.

One per process; an attempt uses one that is `traced`. Knows neither the log nor the SDK.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from outlive.shared.telemetry.traces import Span
from outlive.shared.upstreams import BETWEEN_TOKENS_S, FIRST_TOKEN_S
from outlive.worker.attempt.request_telemetry import UpstreamCall, span_attributes, span_name
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.timers import Timers


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a provider may send no byte at all: before the first piece of an answer, and between its pieces."""

    first_token_s: float
    between_tokens_s: float


class Upstream(Protocol):
    """A provider."""

    @property
    def name(self) -> str: ...

    @property
    def permit(self) -> AbstractAsyncContextManager[Any]:
        """Held for each request: only so many are open at once."""

    @property
    def max_output_tokens(self) -> int: ...

    @property
    def first_token_s(self) -> float:
        """See `Silence`."""

    @property
    def between_tokens_s(self) -> float: ...

    def open(
        self, request: dict[str, Any], headers: Mapping[str, str], alive: Callable[[], None]
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        """The answer's chunks, and `DONE` where the provider said so. `alive` is called for all that it sends. Leaving
        the context closes the socket. Raises `UpstreamError`."""


ChooseUpstreams = Callable[[Mapping[str, Any]], Sequence[Upstream]]
"""By what the request says: the upstreams to ask, in order, at least one. Raises `UpstreamRefused`."""


@dataclass(frozen=True, slots=True)
class Model:
    """All models that this worker can ask."""

    choose_upstreams: ChooseUpstreams
    metrics: WorkerMetrics
    timers: Timers
    span: Span = field(default_factory=lambda: Span(""))
    """The work that its calls are a part of."""

    def silence_of(self, upstream: Upstream, request: Mapping[str, Any]) -> Silence:
        """The request's own times, else those of the upstream."""
        return Silence(
            request.get(FIRST_TOKEN_S) or upstream.first_token_s,
            request.get(BETWEEN_TOKENS_S) or upstream.between_tokens_s,
        )

    def traced(self, span: Span) -> Self:
        """The same, with all calls as parts of `span`."""
        return replace(self, span=span)

    @contextmanager
    def call(self, request: Mapping[str, Any], upstream: str) -> Iterator[UpstreamCall]:
        """Measure one request to this upstream, for as long as its answer takes."""
        attributes = span_attributes(request) | {"outlive.upstream": upstream}
        with self.span.child(span_name(request), "client", attributes) as span:
            yield UpstreamCall(self.metrics, span, upstream, self.timers.time)
