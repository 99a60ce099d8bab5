"""Owns the doctor as a command: what it asks, what it prints, its exit code."""

import argparse
import asyncio
import os
import sys

from outlive.deploy.doctor.findings import Finding, Grade
from outlive.deploy.doctor.inspections import at_machine, at_planes, at_upstreams
from outlive.shared.errors import SettingsError
from outlive.shared.settings import Settings, load


def main() -> int:
    """Look everywhere, say all of it."""
    parser = argparse.ArgumentParser(
        prog="python -m outlive.deploy.doctor", description="Is this place fit for Outlive?"
    )
    parser.add_argument("--no-upstream", action="store_true", help="where only the API runs: do not ask providers")
    asked = parser.parse_args()
    try:
        settings = load(os.environ)
    except SettingsError as error:
        print(error.message, file=sys.stderr)
        return 2
    found = asyncio.run(_look(settings, upstream=not asked.no_upstream))
    for finding in found:
        print(f"{finding.grade:8} {finding.about}: {finding.says} {finding.do}".rstrip())
    return int(any(finding.grade is Grade.WRONG for finding in found))


async def _look(settings: Settings, *, upstream: bool) -> list[Finding]:
    found = await at_planes(settings)
    if upstream:
        found += await at_upstreams(settings, os.environ)
    return [*found, at_machine()]


if __name__ == "__main__":
    sys.exit(main())
