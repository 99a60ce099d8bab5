"""deploy/'s alerts and dashboard, held against Prometheus' own tool."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.support.processes import ROOT
from tests.support.programs import program

PROMETHEUS: Final = ROOT / "deploy/prometheus"


def check_with_promtool(*words: str | Path) -> None:
    ran = subprocess.run([program("promtool"), *words], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_configuration_and_its_rules_are_what_prometheus_takes() -> None:
    """As compose mounts them: the rules beside the configuration."""
    check_with_promtool("check", "config", PROMETHEUS / "prometheus.yml")
    check_with_promtool("check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "alerts.yaml")


def test_alerts_fire_when_they_should_and_not_before() -> None:
    """A healthy place wakes nobody."""
    check_with_promtool("test", "rules", PROMETHEUS / "alerts.test.yaml")


def test_each_question_of_the_dashboard_is_one(tmp_path: Path) -> None:
    """Grafana puts in the interval; what comes out is judged as if it were a rule."""
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "1m", expr)}
        for number, expr in enumerate(asked)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    check_with_promtool("check", "rules", file)
