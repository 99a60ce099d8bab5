"""Owns which process runs on which core, and how much CPU each used.

Two cores are enough: the measured process has the first to itself, and its load shares the second. CPU seconds say
more than a rate: they stay right on a shared machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import sysconf
from pathlib import Path
from typing import Final, Self

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1

_TICKS_PER_S: Final = sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")


def pinned(command: Sequence[str], core: int) -> list[str]:
    """The same command, bound to one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def rss_bytes(pid: int) -> int:
    """Memory of this process and the others of its group."""
    return sum(int(_read(each / "statm").split()[1]) * _PAGE_BYTES for each in _group(pid))


def cpu_s(pid: int) -> float:
    """CPU seconds that this process and the others of its group have used."""
    return sum(map(_cpu_s, _group(pid)))


@dataclass(frozen=True, slots=True)
class Reading:
    """The CPU seconds of each at one moment."""

    used_s: dict[str, float]

    @classmethod
    def of(cls, pids: dict[str, int]) -> Self:
        """`pids`: name -> process id; each stands for its process group."""
        return cls({name: cpu_s(pid) for name, pid in pids.items()})

    def since(self, before: "Reading") -> dict[str, float]:
        """CPU seconds by name since `before`."""
        return {name: value - before.used_s[name] for name, value in self.used_s.items()}


def _group(pid: int) -> Iterator[Path]:
    for process in _PROC.iterdir():
        if process.name.isdigit():
            fields = _stat(process)
            if fields and int(fields[2]) == pid:
                yield process


def _cpu_s(process: Path) -> float:
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def _stat(process: Path) -> list[str]:
    """The fields after the name of the process, which may contain anything."""
    return _read(process / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
