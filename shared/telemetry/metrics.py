"""Owns what both sides measure of themselves, and the making of measures: names, units, buckets.

Each side has its own (`worker/metrics.py`, `api/metrics.py`) on top of this; these three files
alone know Prometheus. What they measure is told to them in plain verbs, once per attempt, batch or
turn of a loop, never once per token or per delivered event. The list is deploy/METRICS.md.
"""

from collections.abc import Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from outlive.shared.store import connect

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

WAITS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""For what a person waits for."""
TURNS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""For what machines do, where a hundred milliseconds is slow already."""
EVENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384)

_PREFIX: Final = "outlive_"

GaugeMode = Literal["livesum", "livemax", "livemostrecent"]


# When each series began nobody asks, and it would double their number.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """One process's measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ended = self.counter(
            "generations_ended", "Generations closed, by how, and why they failed.", "outcome", "code"
        )
        self._redis_errors = self.counter(
            "redis_errors", "Redis did not serve us, after the client's own repetitions.", "kind"
        )
        self._redis_errors_told: dict[str, int] = {}

    def ended(self, outcome: str, code: str = "") -> None:
        """A generation was closed, by this process."""
        self._ended.labels(outcome, code).inc()

    def refresh(self) -> None:
        """Take in what is counted elsewhere. Called before the measures are read, or about once a second."""
        for kind, count in connect.failures.items():
            told = self._redis_errors_told.get(kind, 0)
            self._redis_errors.labels(kind).inc(count - told)
            self._redis_errors_told[kind] = count

    def exposition(self) -> bytes:
        """All of it in Prometheus' words."""
        self.refresh()
        return generate_latest(self.registry)

    def counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, words, labels, registry=self.registry)

    def gauge(self, name: str, words: str, *, mode: GaugeMode = "livesum") -> Gauge:
        """`mode`: what several processes on one port make of it, of which only those count that live."""
        return Gauge(_PREFIX + name, words, registry=self.registry, multiprocess_mode=mode)

    def histogram(self, name: str, words: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(_PREFIX + name, words, labels, registry=self.registry, buckets=buckets)
