"""deploy/METRICS.md is what the code measures, and what dashboards and alerts ask for is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import Metric

from api.measures import ApiMeasures
from shared.measures import Measures
from worker.measures import WorkerMeasures

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
OURS: Final = "tokencast_"


def measures() -> dict[str, Measures]:
    """What each side has."""
    return {
        "API": ApiMeasures(),
        "worker": WorkerMeasures(slots=1, running=lambda: 0),
    }


def told(metric: Metric) -> str:
    """Its name as Prometheus stores it."""
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def labels_of(side: Measures, metric: Metric) -> tuple[str, ...]:
    collector = side.registry._names_to_collectors[metric.name]
    return tuple(getattr(collector, "_labelnames", ()))


def ours() -> Iterator[tuple[str, Measures, Metric]]:
    for side, measure in measures().items():
        for metric in measure.registry.collect():
            if metric.name.startswith(OURS):
                yield side, measure, metric


def metrics_table() -> str:
    """The table as it must stand in deploy/METRICS.md."""
    found: dict[str, tuple[list[str], str]] = {}
    for side, measure, metric in ours():
        labels = ", ".join(f"`{label}`" for label in labels_of(measure, metric))
        row = f"{metric.type} | {labels} | {metric.documentation}"
        found.setdefault(told(metric), ([], row))[0].append(side)
        assert found[told(metric)][1] == row, f"{told(metric)} is one thing in the API and another in the worker"
    rows = [f"| `{name}` | {' and '.join(sides)} | {row} |" for name, (sides, row) in sorted(found.items())]
    return "\n".join(["| metric | of | type | labels | |", "|---|---|---|---|---|", *rows])


def test_the_list_of_metrics_is_what_is_measured() -> None:
    """`python -m tests.unit.test_metrics` prints the table to paste."""
    assert metrics_table() in (DEPLOY / "METRICS.md").read_text()


def test_each_metric_says_its_unit_and_what_it_is() -> None:
    """Names as Prometheus recommends them: base units, and `_total` for what only rises."""
    for _, _, metric in ours():
        assert metric.documentation.endswith("."), metric.name
        if metric.type == "histogram":
            assert metric.name.endswith(("_seconds", "_events")), metric.name


if __name__ == "__main__":
    print(metrics_table())
