"""Owns wrong clocks: the environment that gives a process another time of day (libfaketime).

It changes the time of day only. Durations come from the monotonic clock, which no operator can set wrong.
"""

from functools import cache
from pathlib import Path
from typing import Final

HOUR_S: Final = 3600


def shifted(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is ahead by this much; behind if negative."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@cache
def _library() -> str:
    """Where Debian's package `faketime` puts it."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert libraries, "libfaketime is not installed; `make chaos-short` does that"
    return str(libraries[0])
