"""Owns wrong clocks: the environment in which a process believes another time of day (libfaketime).

Only the time of day: durations are the monotonic clock's, which no operator can set wrong.
"""

from functools import cache
from pathlib import Path
from typing import Final

HOUR_S: Final = 3600


def shifted(seconds: int) -> dict[str, str]:
    """For a process whose clock is ahead by so much, or behind."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@cache
def _library() -> str:
    """Where Debian's package `faketime` has it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is not installed; `make chaos-short` does that"
    return str(found[0])
