"""A Redis that runs but refuses to serve: attempts go on, no process ends, and none spins."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from tests.support.invariants import check_invariants
from tests.support.processes import OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LEASE_S: Final = 1.0
_REFUSED_S: Final = 2.5 * LEASE_S
_TICKS: Final = os.sysconf("SC_CLK_TCK")

# The commands that make Redis refuse, and those that make it serve again. NOBODY is a primary that does not exist.
_NOBODY: Final = ("127.0.0.1", 1)
_REFUSALS: Final[dict[str, tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]] = {
    "READONLY": ([("REPLICAOF", *_NOBODY)], [("REPLICAOF", "NO", "ONE")]),
    "MASTERDOWN": (
        [("CONFIG", "SET", "replica-serve-stale-data", "no"), ("REPLICAOF", *_NOBODY)],
        [("REPLICAOF", "NO", "ONE"), ("CONFIG", "SET", "replica-serve-stale-data", "yes")],
    ),
    "NOREPLICAS": ([("CONFIG", "SET", "min-replicas-to-write", 1)], [("CONFIG", "SET", "min-replicas-to-write", 0)]),
    "OOM": ([("CONFIG", "SET", "maxmemory", "1mb")], [("CONFIG", "SET", "maxmemory", 0)]),
    "NOSCRIPT": ([("SCRIPT", "FLUSH")], []),
    "NOAUTH": (
        [("CONFIG", "SET", "requirepass", "other"), ("CLIENT", "KILL", "TYPE", "normal")],
        [("CONFIG", "SET", "requirepass", "")],
    ),
}


@pytest.fixture(scope="module")
async def stack(anyio_backend: str) -> AsyncIterator[Stack]:
    """Its own Redis, which only one answer at a time uses."""
    async with Stack(apis=2, settings={"lease_s": LEASE_S}) as running:
        yield running


@pytest.fixture
async def admin(stack: Stack) -> AsyncIterator[Redis]:
    """One connection that stays logged in, whatever later ones must present."""
    async with Redis.from_url(stack.redis.url, single_connection_client=True) as client:
        yield client


def _cpu_s(process: OsProcess) -> float:
    """CPU time so far (proc(5): utime and stime are fields 14 and 15)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _asked(admin: Redis) -> int:
    """Commands from clients so far, new connections included; ZRANGE is what one sweep does inside."""
    commands = await admin.info("commandstats")
    calls = sum(one["calls"] + one["rejected_calls"] for name, one in commands.items() if name != "cmdstat_zrange")
    return int(calls + (await admin.info("stats"))["total_connections_received"])


async def _watched(stack: Stack, model: str) -> tuple[str, list[asyncio.Task[Any]], list[Viewer]]:
    """An answer of which both viewers, one on each API process, have text."""
    generation_id = await stack.create(model)
    viewers = [Viewer(generation_id, stack.urls, seed=seed, fold=False) for seed in (1, 2)]
    watching = [asyncio.create_task(viewer.follow()) for viewer in viewers]
    await until(
        lambda: all("token" in {f.event for f in v.transcript.frames} for v in viewers), 20, "text in every viewer"
    )
    return generation_id, watching, viewers


async def _check_completed_in_one_attempt(stack: Stack, generation_id: str, watching: list[asyncio.Task[Any]]) -> None:
    transcripts = await asyncio.gather(*watching)
    snapshot = await stack.closed(generation_id)
    check_invariants(transcripts, snapshot, await stack.log(generation_id))
    assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
    assert [transcript.resets for transcript in transcripts] == [0, 0]


@pytest.mark.rule("R7")
@pytest.mark.parametrize("word", _REFUSALS)
async def test_a_refusal_longer_than_the_lease_costs_a_pause(stack: Stack, admin: Redis, word: str) -> None:
    """The same attempt goes on, although its lease ran out meanwhile; no process is replaced."""
    generation_id, watching, _ = await _watched(stack, demo(pace_s=0.01, tokens=200))
    processes = [*stack.apis, *stack.workers]
    pids = [process.pid for process in processes]
    refuse, serve = _REFUSALS[word]
    for command in refuse:
        await admin.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    try:
        before, cpu_s = await _asked(admin), sum(map(_cpu_s, processes))
        # The length of the fault. It is longer than the lease, and nothing may happen in it that a condition could see.
        await asyncio.sleep(_REFUSED_S)
        asked, spent_s = await _asked(admin) - before, sum(map(_cpu_s, processes)) - cpu_s
    finally:
        for command in serve:
            await admin.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    await _check_completed_in_one_attempt(stack, generation_id, watching)

    assert [process.pid for process in processes if process.running] == pids
    if serve:
        assert asked / _REFUSED_S < 150, f"{asked} commands and connections"
        assert spent_s / _REFUSED_S < 0.5, f"{spent_s:.2f} CPU seconds"


@pytest.mark.rule("R7")
async def test_a_redis_that_loads_for_longer_than_the_lease_costs_a_pause(stack: Stack, admin: Redis) -> None:
    """LOADING: it replies, but serves nothing."""
    filler = {f"filler:{n}": "x" for n in range(2_000)}
    await admin.mset(filler)
    generation_id, watching, _ = await _watched(stack, demo(pace_s=0.01, tokens=200))
    slow = RedisServer(options=["--key-load-delay", str(round(_REFUSED_S * 1e6 / len(filler)))])
    stack.redis.kill()
    usual, stack.redis.command = stack.redis.command, [*stack.redis.command, *slow.command[-2:]]
    await stack.redis.start()
    stack.redis.command = usual
    await slow.stop()

    await _check_completed_in_one_attempt(stack, generation_id, watching)
