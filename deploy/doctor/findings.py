"""Owns the judgement: a measured value becomes a finding, with what to do about it. Pure."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis.exceptions import AuthenticationError

from outlive.shared.errors import OutliveError, UnfitRedis
from outlive.shared.store.requirements import judge
from outlive.shared.upstreams import Upstream
from outlive.worker.upstream.model_list import ModelList

SLOW_S: Final = 0.010
"""Of a round trip to Redis. Every token pays one on its way in; beyond this, viewers notice it."""

TOO_SLOW_S: Final = 0.250
"""With this latency, the three renewals within a lease leave little time for a Redis that is busy."""

CLOCK_S: Final = 1.0
"""Leases use Redis TIME and do not depend on this clock. Reading the logs of two machines does, and so does
comparing `created_at` with them."""

FILES_PER_PROCESS: Final = 4096
"""A viewer is one open file in the API, a generation about one in a worker."""


_MAX_WORDS: Final = 160
"""Redis explains protected mode in a thousand characters."""


class Grade(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one thing, in a sentence; `remedy` is empty only when all is fine."""

    grade: Grade
    about: str
    state: str
    remedy: str = ""


def of_server(info: Mapping[str, Any]) -> list[Finding]:
    """Judge version, persistence and eviction in redis-py's INFO, by the rule that the API and the workers
    apply when they start."""
    try:
        warnings = judge(info)
    except UnfitRedis as unfit:
        return [Finding(Grade.WRONG, "redis", unfit.message, "API and workers do not start before that.")]
    findings = [Finding(Grade.WARNING, "redis", f"{warning}.", "See deploy/redis/redis.conf.") for warning in warnings]
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        findings.append(
            Finding(
                Grade.WRONG,
                "redis",
                "The last write to its append-only file failed.",
                "Check the disk of its data directory.",
            )
        )
    if not int(info.get("maxmemory", 0)):
        findings.append(
            Finding(
                Grade.WARNING,
                "redis",
                "It has no maxmemory: when the machine's memory is full, the kernel kills Redis.",
                "Set maxmemory to about two thirds of the machine's memory: then Redis refuses, and nothing is lost.",
            )
        )
    return findings or [Finding(Grade.FINE, "redis", f"Version {info.get('redis_version')}, append-only, noeviction.")]


def of_redis_failure(setting: str, causes: Sequence[BaseException]) -> Finding:
    """Judge why a server cannot be used: `causes` are the errors, each the cause of the one before."""
    if any(isinstance(cause, AuthenticationError) for cause in causes):
        return Finding(
            Grade.WRONG, "redis", "It refuses the user or the password.", f"Check user and password in {setting}."
        )
    word = next((text for cause in reversed(causes) if (text := _own_words(cause))), "")
    return Finding(
        Grade.WRONG, "redis", f"It does not answer{f': {word}' if word else ''}.", f"Start it, or correct {setting}."
    )


def of_redis_refusal(setting: str, reply: str) -> Finding:
    """Judge an error that the server replied."""
    return Finding(
        Grade.WRONG, "redis", f"It refuses a command: {_first_sentence(reply)}.", f"Check the server and {setting}."
    )


def of_url_option(setting: str, error: str) -> Finding:
    """Judge an option behind the URL that redis-py does not take."""
    option = error.rpartition("argument ")[2].strip("'\"") if "argument" in error else ""
    name = f" `{option}`" if option.isidentifier() else ""
    return Finding(
        Grade.WRONG, "redis", f"The URL has an option{name} that is not known or has no valid value.",
        f"Correct what stands behind the ? in {setting}.",
    )  # fmt: skip


def _own_words(cause: BaseException) -> str:
    """The server's or the system's, not ours and not a time limit's."""
    if isinstance(cause, OutliveError):
        return ""
    if isinstance(cause, ConnectionError | FileNotFoundError | PermissionError) and cause.errno:
        return os.strerror(cause.errno)
    return _first_sentence(str(cause))


def _first_sentence(text: str) -> str:
    return text.partition(". See")[0].partition("\n")[0][:_MAX_WORDS].rstrip(". ")


def of_latency(seconds: float) -> Finding:
    """Judge the median of some round trips."""
    state = f"A round trip takes {seconds * 1000:.1f} ms."
    if seconds > TOO_SLOW_S:
        return Finding(
            Grade.WRONG, "latency", state, "Put Redis into the same region: leases would expire while in use."
        )
    if seconds > SLOW_S:
        return Finding(Grade.WARNING, "latency", state, "Put Redis into the same zone: every token waits for one.")
    return Finding(Grade.FINE, "latency", state)


def of_clock(difference_s: float) -> Finding:
    """Judge the clock of this machine; `difference_s` is its time minus that of Redis."""
    state = f"This machine's clock is {difference_s:+.2f} s from that of Redis."
    if abs(difference_s) > CLOCK_S:
        return Finding(
            Grade.WARNING, "clock", state, "Run an NTP client. No promise depends on the clock; reading the logs does."
        )
    return Finding(Grade.FINE, "clock", state)


def of_files(soft: int, hard: int) -> Finding:
    """Judge the limits of open files per process."""
    if soft < FILES_PER_PROCESS:
        how = f"ulimit -n {min(hard, 65_536)}" if hard >= FILES_PER_PROCESS else "LimitNOFILE= or --ulimit nofile="
        return Finding(
            Grade.WARNING,
            "open files",
            f"A process may open {soft} files, so an API process serves fewer viewers than that.",
            f"Raise the limit where the process is started: {how}.",
        )
    return Finding(Grade.FINE, "open files", f"A process may open {soft}.")


def of_upstream(listed: ModelList, key: str) -> Finding:
    """Judge what came of asking for the models. `key` names where the key comes from, for a person."""
    if not listed.fault:
        return Finding(Grade.FINE, "provider", f"It takes the key and lists {len(listed.names)} models.")
    match listed.status:
        case None:
            return Finding(Grade.WRONG, "provider", listed.fault, "Workers would fail in the same way.")
        case 401 | 403:
            return Finding(
                Grade.WRONG, "provider", f"It refuses the key. {listed.fault}", f"Check {key}, and what it may do."
            )
        case 404 | 405 | 501:
            return Finding(
                Grade.WARNING,
                "provider",
                f"It lists no models, so the key was not tried. {listed.fault}",
                "If its base URL must end in /v1 and does not, add that.",
            )
        case 429:
            return Finding(Grade.WARNING, "provider", listed.fault, "Check the limits of the account.")
    return Finding(Grade.WARNING, "provider", listed.fault, "Check the provider's status page.")


def key_source(upstream: Upstream) -> str:
    """Where the operator put this upstream's key."""
    if upstream.key_env:
        return f"the key in {upstream.key_env}"
    if upstream.key_file:
        return f"the key in the file {upstream.key_file}"
    if upstream.headers:
        return f"the key in its headers ({', '.join(upstream.headers)})"
    return "the key: none is set"
