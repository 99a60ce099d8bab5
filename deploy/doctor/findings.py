"""Owns the judgement: a measured value becomes a finding, with what to do about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from outlive.shared.errors import UnfitRedis
from outlive.shared.store.requirements import judge

SLOW_S: Final = 0.010
"""Of a round trip to Redis. Every token pays one on its way in; beyond this it is what viewers wait for."""

TOO_SLOW_S: Final = 0.250
"""With that, renewing a lease three times within it leaves little for a Redis that is busy."""

CLOCK_S: Final = 1.0
"""Leases are Redis TIME and do not care; logs of two machines, and `created_at` beside them, do."""

FILES_PER_PROCESS: Final = 4096
"""A viewer is one open file in the API, a generation about one in a worker."""


class Grade(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing; `do` is empty only when all is fine."""

    grade: Grade
    about: str
    says: str
    do: str = ""


def of_server(info: Mapping[str, Any]) -> list[Finding]:
    """Version, persistence and eviction, from redis-py's INFO, by the rule that API and worker start by."""
    try:
        warnings = judge(info)
    except UnfitRedis as unfit:
        return [Finding(Grade.WRONG, "redis", unfit.message, "API and worker will not start before that.")]
    found = [Finding(Grade.WARNING, "redis", f"{w}.", "See deploy/redis/redis.conf.") for w in warnings]
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        found.append(
            Finding(Grade.WRONG, "redis", "Its last write to the append-only file failed.", "Look at its disk.")
        )
    if not int(info.get("maxmemory", 0)):
        found.append(
            Finding(
                Grade.WARNING,
                "redis",
                "It has no maxmemory: when memory ends the kernel ends Redis.",
                "Set maxmemory to about two thirds of the machine's: then it refuses, and nothing is lost.",
            )
        )
    return found or [Finding(Grade.FINE, "redis", f"Version {info.get('redis_version')}, append-only, noeviction.")]


def of_latency(seconds: float) -> Finding:
    """The median of some round trips."""
    says = f"A round trip takes {seconds * 1000:.1f} ms."
    if seconds > TOO_SLOW_S:
        return Finding(Grade.WRONG, "latency", says, "Put Redis into the same region: leases would run out in use.")
    if seconds > SLOW_S:
        return Finding(Grade.WARNING, "latency", says, "Put Redis into the same zone: every token waits for one.")
    return Finding(Grade.FINE, "latency", says)


def of_clock(difference_s: float) -> Finding:
    """This machine's clock less Redis's."""
    says = f"This machine's clock is {difference_s:+.2f} s from Redis's."
    if abs(difference_s) > CLOCK_S:
        return Finding(Grade.WARNING, "clock", says, "Run an NTP client. No promise depends on it, reading logs does.")
    return Finding(Grade.FINE, "clock", says)


def of_files(soft: int, hard: int) -> Finding:
    """The limits of open files per process."""
    if soft < FILES_PER_PROCESS:
        how = f"ulimit -n {min(hard, 65_536)}" if hard >= FILES_PER_PROCESS else "LimitNOFILE= or --ulimit nofile="
        return Finding(
            Grade.WARNING,
            "open files",
            f"A process may open {soft} files, so an API process has fewer viewers than that.",
            f"Raise it where the process is started: {how}.",
        )
    return Finding(Grade.FINE, "open files", f"A process may open {soft}.")


def of_upstream(status: int | None, said: str, models: int) -> Finding:
    """The answer to `GET /models`; `status` is None when there was none, and `said` tells why."""
    match status:
        case None:
            return Finding(
                Grade.WRONG,
                "provider",
                f"It is not reached: {said}.",
                "Check its URL (OPENAI_BASE_URL), DNS and egress.",
            )
        case 401 | 403:
            return Finding(
                Grade.WRONG,
                "provider",
                f"It refuses the key ({status}).",
                "Check it (OPENAI_API_KEY), and what it may do.",
            )
        case 404 | 405 | 501:
            return Finding(
                Grade.WARNING,
                "provider",
                f"It is there, but lists no models ({status}), so the key was not tried.",
                "If its URL should end in /v1 and does not, add that.",
            )
        case 429:
            return Finding(
                Grade.WARNING, "provider", "It is there, and refuses for now (429).", "Check the account's limits."
            )
        case int() if status >= 400:
            return Finding(
                Grade.WARNING, "provider", f"It is there, and answers {status}.", "Look at the provider's status page."
            )
    return Finding(Grade.FINE, "provider", f"It takes the key and lists {models} models.")
