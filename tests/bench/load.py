"""Owns the load programs: how `viewers` and `appender` (C, in `programs/`) are run and what they say."""

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
"""Where `make bench` puts the programs."""

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
    def read(cls, said: bytes) -> Self:
        found: dict[str, Any] = json.loads(said)
        return cls(**{field.name: found[field.name] for field in fields(cls)})

    @property
    def is_whole(self) -> bool:
        """Every viewer got every event, once and in order."""
        return self.complete == self.viewers and not (self.failed or self.missing or self.doubled)


class Viewers:
    """Viewers under way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connected(self) -> None:
        """Wait until all of them are answered."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_CONNECT_S):
            line = await self._process.stdout.readline()
        assert line == b"ready\n", line

    async def seen(self) -> Seen:
        """Wait for their end."""
        assert self._process.stdout is not None
        said = await self._process.stdout.read()
        return Seen.read(said.splitlines()[-1])


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
    how: str, place: str, plan: Sequence[str], *, per_s: float, seconds: float, round_ms: float = 0
) -> dict[str, Any]:
    """Append at this rate to each stream of the plan; what the program says of it."""
    with _file(plan) as file:
        words = [str(BUILD / "appender"), how, place, file, per_s, seconds, round_ms]
        process = await asyncio.create_subprocess_exec(
            *pinned([str(word) for word in words], LOAD_CORE), stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, f"appender ended with {process.returncode}"
    found: dict[str, Any] = json.loads(said)
    return found


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
