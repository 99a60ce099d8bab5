"""Owns measures that nobody reads, for what cannot be built without; and reading those of a process."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from outlive.worker.metrics import WorkerMetrics
from tests.support.raw_http import request


def unread() -> WorkerMetrics:
    """A worker's, of one slot."""
    return WorkerMetrics(slots=1)


class Figures:
    """What one process said at once."""

    def __init__(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self._samples = samples

    def of(self, name: str, **labels: str) -> float:
        """One sample of ours; 0 where there is none yet. `name` without the prefix."""
        return self._samples.get((f"outlive_{name}", frozenset(labels.items())), 0.0)

    def names(self) -> set[str]:
        return {name for name, _ in self._samples}


async def figures(url: str) -> Figures:
    """Ask `/metrics` there."""
    answer = await request("GET", f"{url}/metrics")
    assert answer.status == 200, answer
    families = text_string_to_metric_families(answer.body.decode())
    return Figures(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
    )
