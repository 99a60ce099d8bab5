"""The doctor's judgement: what is measured becomes what to do."""

from typing import Any

import pytest

from outlive.deploy.doctor import findings
from outlive.deploy.doctor.findings import Finding, Grade
from outlive.worker.upstream.model_list import ModelList

KEY = "the key in OPENAI_API_KEY"
FIT: dict[str, Any] = {
    "redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1, "maxmemory": 2**30,
}  # fmt: skip


def test_a_fit_server_is_one_fine_finding() -> None:
    """With its version, so that one can see which server answered."""
    (finding,) = findings.of_server(FIT)
    assert finding.grade is Grade.FINE
    assert "7.2.4" in finding.state


@pytest.mark.parametrize(
    ("differs", "grade", "word"),
    [
        ({"redis_version": "6.2.14"}, Grade.WRONG, "too old"),
        ({"maxmemory_policy": "allkeys-lru"}, Grade.WRONG, "noeviction"),
        ({"aof_enabled": 0}, Grade.WARNING, "append-only"),
        ({"aof_last_write_status": "err"}, Grade.WRONG, "failed"),
        ({"maxmemory": 0}, Grade.WARNING, "maxmemory"),
    ],
)
def test_what_is_wrong_with_a_server_is_named(differs: dict[str, Any], grade: Grade, word: str) -> None:
    """By the judgement that API and worker start by."""
    (finding,) = findings.of_server(FIT | differs)
    assert finding.grade is grade
    assert word in finding.state


@pytest.mark.parametrize(
    ("finding", "grade"),
    [
        (findings.of_latency(0.001), Grade.FINE),
        (findings.of_latency(0.02), Grade.WARNING),
        (findings.of_latency(0.3), Grade.WRONG),
        (findings.of_clock(-0.2), Grade.FINE),
        (findings.of_clock(-3600), Grade.WARNING),
        (findings.of_files(65_536, 65_536), Grade.FINE),
        (findings.of_files(1024, 1_048_576), Grade.WARNING),
        (findings.of_files(256, 256), Grade.WARNING),
        (findings.of_upstream(ModelList(("a", "b")), KEY), Grade.FINE),
        (findings.of_upstream(ModelList(fault="The upstream `x` refused."), KEY), Grade.WRONG),
        (findings.of_upstream(ModelList(fault="It answered 401.", status=401), KEY), Grade.WRONG),
        (findings.of_upstream(ModelList(fault="It answered 404.", status=404), KEY), Grade.WARNING),
        (findings.of_upstream(ModelList(fault="It answered 429.", status=429), KEY), Grade.WARNING),
        (findings.of_upstream(ModelList(fault="It answered 503.", status=503), KEY), Grade.WARNING),
    ],
)
def test_whatever_is_not_fine_says_what_to_do(finding: Finding, grade: Grade) -> None:
    """And what is fine asks nothing of anybody."""
    assert finding.grade is grade
    assert bool(finding.remedy) is (grade is not Grade.FINE)
