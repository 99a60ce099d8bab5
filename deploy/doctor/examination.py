"""Owns one examination: which inspections are made, what is printed, the exit code."""

import asyncio
from collections.abc import Mapping

from outlive.deploy.doctor.findings import Finding, Grade
from outlive.deploy.doctor.inspections import (
    inspect_machine,
    inspect_planes,
    inspect_processes,
    inspect_upstreams,
)
from outlive.shared.settings import Settings, load


def run(environ: Mapping[str, str], *, upstream: bool) -> int:
    """Make every inspection and print all findings. Raises `SettingsError`."""
    findings = asyncio.run(_examine(load(environ), environ, upstream=upstream))
    for finding in findings:
        print(f"{finding.grade:8} {finding.about}: {finding.state} {finding.remedy}".rstrip())
    return int(any(finding.grade is Grade.WRONG for finding in findings))


async def _examine(settings: Settings, environ: Mapping[str, str], *, upstream: bool) -> list[Finding]:
    findings = await inspect_planes(settings)
    if upstream:
        findings += await inspect_upstreams(settings, environ)
    return [*findings, *inspect_processes(settings, worker=upstream), inspect_machine()]
