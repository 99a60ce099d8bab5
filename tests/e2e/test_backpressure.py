"""A log that accepts nothing: the provider waits, the memory of the worker does not grow, and nothing is lost."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from outlive.shared.settings import load
from tests.support.invariants import check_invariants
from tests.support.processes import OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.tcp_fault_proxy import TcpFaultProxy
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R22")]

CHARS: Final = 2_000
TOKENS: Final = 4_000
ANSWER_BYTES: Final = CHARS * TOKENS
"""More than the kernels of both sides take in by themselves, so that a reader that stops is felt."""

POLL_S: Final = 0.5
SLOW_BYTES_PER_S: Final = 2_000_000
GENERATIONS: Final = 3

MANY: Final = 500
READ_AHEAD_BYTES: Final = 768 * 1024
"""Per generation, beside what waits for the log: one read of the event loop (256 kB), HTTP's buffer
(32 kB) and what was cut from it, a socket, a dozen tasks and their frames (100 kB), and the rest for
an allocator that gives nothing back."""


async def _kill(redis: RedisServer) -> Callable[[], Awaitable[object]]:
    redis.kill()
    return redis.start


async def _hang(redis: RedisServer) -> Callable[[], Awaitable[object]]:
    redis.pause()

    async def resume() -> None:
        redis.resume()

    return resume


async def _stands_still(stack: Stack, model: str) -> list[dict[str, Any]]:
    """Wait until the provider writes nothing more to any of its clients."""
    latest: list[int] = []

    async def same() -> list[dict[str, Any]] | None:
        nonlocal latest
        asked = await stack.model.requests(model)
        before, latest = latest, [one["chunks_sent"] for one in asked]
        return asked if before == latest else None

    return await until(same, 60, "the provider stands still", every_s=POLL_S)


async def _at_gate(stack: Stack, model: str, count: int) -> None:
    async def all_there() -> bool:
        return sum(one["at_gate"] is not None for one in await stack.model.requests(model)) == count

    await until(all_there, 60, f"{count} streams at the gate")


@asynccontextmanager
async def _slow() -> AsyncIterator[tuple[Stack, TcpFaultProxy]]:
    """Everything sent to Redis passes a link of `SLOW_BYTES_PER_S` until it is healed."""
    redis = RedisServer(tcp=True)
    proxy = TcpFaultProxy(redis.port)
    proxy.bytes_per_s = SLOW_BYTES_PER_S
    await redis.start()
    await proxy.start()
    try:
        settings = {"redis_url": f"redis://127.0.0.1:{proxy.port}/0", "max_output_bytes": 2 * ANSWER_BYTES}
        async with Stack(redis=redis, settings=settings) as stack:
            yield stack, proxy
    finally:
        await proxy.stop()
        await redis.stop()


@pytest.mark.parametrize("trouble", [_kill, _hang])
async def test_with_redis_away_the_provider_waits_and_nothing_is_lost(
    trouble: Callable[[RedisServer], Awaitable[Callable[[], Awaitable[object]]]],
) -> None:
    """Redis is dead or hangs: writes block at the provider, and afterwards the log has every character."""
    async with Stack(settings={"max_output_bytes": 2 * ANSWER_BYTES}) as stack:
        model = demo(pace_s=0, chars=CHARS, tokens=TOKENS, gate="away", gate_after=1)
        ids = [await stack.create(model, user=str(i)) for i in range(GENERATIONS)]
        await _at_gate(stack, model, GENERATIONS)
        viewers = [asyncio.create_task(Viewer(one, stack.urls).follow()) for one in ids]
        mend = await trouble(stack.redis)
        await stack.model.open_gate("away")
        blocked = await _stands_still(stack, model)
        await mend()
        transcripts = await asyncio.gather(*viewers)

        for one, transcript in zip(ids, transcripts, strict=True):
            snapshot = await stack.closed(one)
            check_invariants([transcript], snapshot, await stack.log(one))
            assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
            assert len(snapshot["text"]) == ANSWER_BYTES
        for before, after in zip(blocked, await stack.model.requests(model), strict=True):
            assert 0 < before["chunks_sent"] < TOKENS == after["chunks_sent"]
            # It did not move at least from one poll to the next.
            assert after["blocked_s"] > 0.9 * POLL_S


async def test_with_redis_slow_the_provider_is_slowed() -> None:
    """No outage and no lost attempt: the answer takes as long as the log takes."""
    async with _slow() as (stack, line):
        model = demo(pace_s=0, chars=CHARS, tokens=TOKENS)
        generation_id = await stack.create(model)

        async def has_sent_all() -> dict[str, Any] | None:
            asked = await stack.model.requests(model)
            return asked[0] if asked and asked[0]["closed_monotonic"] else None

        seen = await until(has_sent_all, 60, "the provider has said all")
        line.heal()
        snapshot = await stack.closed(generation_id)

        check_invariants([await Viewer(generation_id, stack.urls).follow()], snapshot, await stack.log(generation_id))
        assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
        assert len(snapshot["text"]) == ANSWER_BYTES
        # The provider may be ahead by what the worker and both kernels hold.
        assert seen["closed_monotonic"] - seen["first_token_monotonic"] > 0.6 * ANSWER_BYTES / SLOW_BYTES_PER_S
        assert seen["blocked_s"] > POLL_S


@pytest.mark.long
async def test_five_hundred_held_up_generations_stay_under_the_cap() -> None:
    """Each provider has 20 MB to send; the worker holds what its limits add up to, and no more."""
    unflushed_bytes = load({}).unflushed_events * 1_000
    async with Stack(settings={"slots": MANY}) as stack:
        worker = stack.workers[0]
        idle_bytes = _resident_bytes(worker)
        cap_bytes = idle_bytes + MANY * (unflushed_bytes + READ_AHEAD_BYTES)
        model = demo(pace_s=0, chars=1_000, tokens=20_000, gate="away", gate_after=1)
        await asyncio.gather(*(stack.create(model, user=str(i)) for i in range(MANY)))
        await _at_gate(stack, model, MANY)
        stack.redis.kill()
        await stack.model.open_gate("away")
        blocked = await _stands_still(stack, model)
        held_bytes = _resident_bytes(worker)
        # Without Redis it cannot hand 500 generations over, and no test waits for that.
        worker.kill()

        print(f"idle {idle_bytes >> 20} MiB, with {MANY} held up {held_bytes >> 20}, cap {cap_bytes >> 20}")
        assert held_bytes < cap_bytes
        assert all(one["chunks_sent"] < 20_000 for one in blocked)


def _resident_bytes(process: OsProcess) -> int:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert peak
    return int(peak[1]) * 1024
