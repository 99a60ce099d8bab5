"""Owns the metrics that both sides have, and how metrics are made: names, units, buckets.

Each side has its own metrics on top of this (`worker/metrics.py`, `api/metrics.py`); these three files alone know
Prometheus. Other modules report to them with plain verbs, once per attempt, batch or round of a loop, never once per
token or per delivered event. deploy/METRICS.md lists all metrics.
"""

from collections.abc import Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from outlive.shared.store import connect

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

WAITS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets for times that a person waits."""
ROUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Buckets for times that only machines wait, where a hundred milliseconds is slow already."""
EVENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384)
"""Buckets for numbers of events."""

_PREFIX: Final = "outlive_"

GaugeMode = Literal["livesum", "livemax", "livemostrecent"]


# The creation time of each series would double their number, and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ended = self.counter(
            "generations_ended", "Generations closed, by outcome, and by code if they failed.", "outcome", "code"
        )
        self._redis_errors = self.counter(
            "redis_errors", "Failures of Redis that remained after the client's retries.", "kind"
        )
        self._redis_errors_counted: dict[str, int] = {}

    def ended(self, outcome: str, code: str = "") -> None:
        """This process closed a generation. `outcome` is the terminal's type, `code` its code if it failed."""
        self._ended.labels(outcome, code).inc()

    def refresh(self) -> None:
        """Add what other modules counted. Call before the metrics are read, or about once a second."""
        for kind, count in connect.failures.items():
            counted = self._redis_errors_counted.get(kind, 0)
            self._redis_errors.labels(kind).inc(count - counted)
            self._redis_errors_counted[kind] = count

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.refresh()
        return generate_latest(self.registry)

    def counter(self, name: str, description: str, *labels: str) -> Counter:
        """A new counter, registered."""
        return Counter(_PREFIX + name, description, labels, registry=self.registry)

    def gauge(self, name: str, description: str, *, mode: GaugeMode = "livesum") -> Gauge:
        """A new gauge, registered. `mode`: how to combine the values of the living processes on one port."""
        return Gauge(_PREFIX + name, description, registry=self.registry, multiprocess_mode=mode)

    def histogram(self, name: str, description: str, buckets: Sequence[float], *labels: str) -> Histogram:
        """A new histogram, registered."""
        return Histogram(_PREFIX + name, description, labels, registry=self.registry, buckets=buckets)
