"""deploy/METRICS.md is what the code measures, and what dashboards and alerts ask for is there."""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import Metric

from outlive.api.metrics import ApiMetrics, remove_gauges_of_dead_processes
from outlive.shared.telemetry.metrics import Metrics
from outlive.worker.metrics import WorkerMetrics

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
OURS: Final = "outlive_"
ASKING: Final = (
    "prometheus/alerts.yaml",
    "prometheus/alerts.test.yaml",
    "grafana/dashboard.json",
    "kubernetes/overlays/keda/scaling.yaml",
)


def measures() -> dict[str, Metrics]:
    """What each side has."""
    return {
        "API": ApiMetrics(),
        "worker": WorkerMetrics(slots=1),
    }


def told(metric: Metric) -> str:
    """Its name as Prometheus stores it."""
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def labels_of(side: Metrics, metric: Metric) -> tuple[str, ...]:
    collector = side.registry._names_to_collectors[metric.name]
    return tuple(getattr(collector, "_labelnames", ()))


def ours() -> Iterator[tuple[str, Metrics, Metric]]:
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


@pytest.mark.parametrize("file", ASKING)
def test_whoever_asks_for_a_metric_asks_for_one_that_is_there(file: str) -> None:
    """With the parts of a histogram. A name that is not there is no error for Prometheus: it is silence."""
    known = set()
    for _, _, metric in ours():
        parts = ("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",)
        known |= {told(metric) + part for part in parts}
    asked = set(re.findall(r"\boutlive_[a-z_]+", (DEPLOY / file).read_text()))
    assert asked
    assert asked <= known


def test_each_alert_leads_to_an_entry_of_the_runbook() -> None:
    """And each entry says what alert brings one there."""
    rules = [rule for group in yaml.safe_load(alerts().read_text())["groups"] for rule in group["rules"]]
    entries = re.findall(r"^## (.+)$", (DEPLOY.parent / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert {rule["annotations"]["runbook"] for rule in rules} == set(entries)
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """Panels with ids of their own, none over another, each with something to show."""
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["targets"] for panel in panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in dashboard["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def alerts() -> Path:
    return DEPLOY / "prometheus/alerts.yaml"


def test_each_metric_says_its_unit_and_what_it_is() -> None:
    """Names as Prometheus recommends them: base units, and `_total` for what only rises."""
    for _, _, metric in ours():
        assert metric.documentation.endswith("."), metric.name
        if metric.type == "histogram":
            assert metric.name.endswith(("_seconds", "_events")), metric.name


def test_processes_asked_at_one_time_bury_the_same_dead(tmp_path: Path) -> None:
    """Linux gives no process such numbers. The files of one that lives stay."""
    dead = [tmp_path / f"gauge_livesum_{2**22 + one}.db" for one in range(500)]
    alive = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    for file in [*dead, alive]:
        file.touch()
    with ThreadPoolExecutor(8) as asked:
        list(asked.map(remove_gauges_of_dead_processes, [str(tmp_path)] * 8))
    assert list(tmp_path.iterdir()) == [alive]


if __name__ == "__main__":
    print(metrics_table())
