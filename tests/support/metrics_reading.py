"""Owns reading the metrics of a process; and metrics nobody reads, for objects that need some."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from outlive.worker.metrics import WorkerMetrics
from tests.support.raw_http import request


def unread_worker_metrics() -> WorkerMetrics:
    """The metrics of a worker with one slot."""
    return WorkerMetrics(slots=1)


class Scrape:
    """All metrics of one process at one moment."""

    def __init__(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self._samples = samples

    def of(self, name: str, **labels: str) -> float:
        """The value of one metric of ours; 0 if it has no sample yet. `name` is without the prefix."""
        return self._samples.get((f"outlive_{name}", frozenset(labels.items())), 0.0)

    def names(self) -> set[str]:
        return {name for name, _ in self._samples}


async def scrape(url: str) -> Scrape:
    """Read `/metrics` of the process at this address."""
    answer = await request("GET", f"{url}/metrics")
    assert answer.status == 200, answer
    families = text_string_to_metric_families(answer.body.decode())
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
    )
