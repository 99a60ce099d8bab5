"""Owns the load programs: how `viewers` and `appender` (C, in `programs/`) are run and what they print."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from tests.bench.cores import LOAD_CORE, pinned

BUILD: Final = Path(__file__).parents[2] / ".build"
"""The directory into which `make bench` builds the programs."""

_CONNECT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What all viewers of one run saw."""

    viewers: int
    failed: int
    left_early: int
    complete: int
    events: int
    missing: int
    doubled: int
    span_s: float
    complete_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: float

    @classmethod
    def read(cls, output: bytes) -> Self:
        report: dict[str, Any] = json.loads(output)
        return cls(**{field.name: report[field.name] for field in fields(cls)})

    @property
    def is_whole(self) -> bool:
        """Every viewer got every event, once and in order."""
        return self.complete == self.viewers and not (self.failed or self.missing or self.doubled)


class Viewers:
    """The viewers of one run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connected(self) -> None:
        """Wait until all have a response."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_CONNECT_S):
            line = await self._process.stdout.readline()
        assert line == b"ready\n", line

    async def seen(self) -> Seen:
        """Wait for their end."""
        assert self._process.stdout is not None
        output = await self._process.stdout.read()
        return Seen.read(output.splitlines()[-1])


@asynccontextmanager
async def viewers(
    port: int, count: int, paths: Sequence[str], *, events: int, within_s: float, stalled: int = 0, per_s: int = 0
) -> AsyncIterator[Viewers]:
    """`count` viewers of these paths by turns, until each has its events."""
    with _file(paths) as file:
        words = [str(BUILD / "viewers"), port, count, file, events, within_s, stalled, per_s]
        process = await asyncio.create_subprocess_exec(
            *pinned([str(word) for word in words], LOAD_CORE), stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            yield Viewers(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def append(
    how: str, target: str, plan: Sequence[str], *, per_s: float, seconds: float, round_ms: float = 0
) -> dict[str, Any]:
    """Append at this rate to each stream of the plan; return the report of the program."""
    with _file(plan) as file:
        words = [str(BUILD / "appender"), how, target, file, per_s, seconds, round_ms]
        process = await asyncio.create_subprocess_exec(
            *pinned([str(word) for word in words], LOAD_CORE), stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, f"appender ended with {process.returncode}"
    report: dict[str, Any] = json.loads(output)
    return report


class _file:  # noqa: N801 - reads as a function
    """A temporary file with these lines."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines

    def __enter__(self) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
            file.write("\n".join(self._lines) + "\n")
        self._name = file.name
        return file.name

    def __exit__(self, *_: object) -> None:
        Path(self._name).unlink()
