"""What metrics and traces record of one request to a provider, and what they do not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from outlive.shared.model.events import Usage
from outlive.shared.telemetry.traces import Kind, Span, Value
from outlive.worker.attempt.request_telemetry import UpstreamCall, span_attributes, span_name
from tests.support.hand_clock import HandClock
from tests.support.metrics_reading import unread_worker_metrics
from tests.support.scripted_upstream import ScriptedUpstream, token

TRACEPARENT = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


class _KeptSpan(Span):
    """A span that can be read."""

    def __init__(self, traceparent: str = TRACEPARENT) -> None:
        super().__init__(traceparent)
        self.values: dict[str, Value] = {}
        self.failures: list[str] = []
        self.children: list[tuple[str, Kind, Mapping[str, Value]]] = []

    @contextmanager
    def child(self, name: str, kind: Kind, attributes: Mapping[str, Value]) -> Iterator[Span]:
        self.children.append((name, kind, attributes))
        yield self

    def set(self, name: str, value: Value) -> None:
        self.values[name] = value

    def fail(self, why: str) -> None:
        self.failures.append(why)


def test_numbers_of_a_request_are_recorded_and_its_words_are_not() -> None:
    """What is no number is left out, true included."""
    attributes = span_attributes(
        {"model": "m", "temperature": 0.5, "max_completion_tokens": 7, "top_p": True, "messages": ["secret"]}
    )
    assert attributes["gen_ai.request.model"] == "m"
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.request.max_tokens"] == 7
    assert "gen_ai.request.top_p" not in attributes
    assert "secret" not in repr(attributes)


def test_a_long_name_of_a_model_is_cut() -> None:
    """It is the caller's, and stands in each span."""
    request: dict[str, Any] = {"model": "m" * 1000}
    assert len(span_name(request)) < 300
    assert len(str(span_attributes(request)["gen_ai.request.model"])) == 200


def test_the_time_to_the_first_piece_is_measured() -> None:
    """By the clock that was handed in, in the metrics and in the span; with the provider's own id."""
    clock, metrics, span = HandClock(), unread_worker_metrics(), _KeptSpan()
    call = UpstreamCall(metrics, span, "one", clock.time)
    clock.advance(2.5)
    call.answered(token("a"))
    sum_s = metrics.registry.get_sample_value("outlive_upstream_first_piece_seconds_sum", {"upstream": "one"})
    assert sum_s == span.values["gen_ai.response.time_to_first_chunk"] == 2.5
    assert span.values["gen_ai.response.id"] == "chatcmpl-1"
    assert "gen_ai.response.model" not in span.values


def test_an_end_and_a_failure_are_told_apart() -> None:
    """Only a failure counts as an error."""
    metrics, span = unread_worker_metrics(), _KeptSpan()
    call = UpstreamCall(metrics, span, "one", HandClock().time)
    call.ended("stop", Usage(3, 4, 7))
    assert (span.values["gen_ai.usage.input_tokens"], span.values["gen_ai.usage.output_tokens"]) == (3, 4)
    assert span.failures == []
    call.failed("upstream_timeout")
    assert span.failures == ["upstream_timeout"]
    labels = {"upstream": "one", "code": "upstream_timeout"}
    assert metrics.registry.get_sample_value("outlive_upstream_errors_total", labels) == 1


def test_the_provider_may_join_the_trace_if_there_is_one() -> None:
    """By the W3C's header."""
    clock = HandClock()
    assert UpstreamCall(unread_worker_metrics(), _KeptSpan(), "one", clock.time).headers == {"traceparent": TRACEPARENT}
    assert UpstreamCall(unread_worker_metrics(), Span(""), "one", clock.time).headers == {}


def test_a_traced_model_records_its_calls_below_the_attempts_span() -> None:
    """With the upstream's name."""
    span = _KeptSpan()
    model = ScriptedUpstream().model(HandClock()).traced(span)
    with model.call({"model": "m"}, "one"):
        pass
    ((name, kind, attributes),) = span.children
    assert (name, kind, attributes["outlive.upstream"]) == ("chat m", "client", "one")
