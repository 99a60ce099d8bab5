"""How soon a worker takes new work, and what waiting for it costs: `python -m tests.bench.pickup`.

Pick-up is the time between two fields of a generation's meta, created and started, both by the clock of Redis. The
cost of idle workers is the commands that Redis got while they ran, minus those it got without them; both without
renewals.
"""

import asyncio
import time
from collections import Counter
from typing import Any, Final

from redis.asyncio import Redis

from tests.bench.table import COLUMNS, milliseconds, percentile, print_table
from tests.support.sse import open_stream
from tests.support.stack import Stack, chat, demo
from tests.support.waiting import until

WARM_UPS: Final = 20
PICK_UPS: Final = 200
RUNNING: Final = 100
IDLE_WORKERS: Final = 2
WATCHED_S: Final = 10.0
_START_S: Final = 60.0

AIM_MS: Final = 10.0
AIM_COMMANDS: Final = 30.0

# The model stays silent for as long as this runs.
_SILENCE_S: Final = 600

_RENEWAL: Final = ("evalsha", "time", "hmget", "hset", "zadd")
"""Commands that one renewal runs, once each; nothing else here runs the last one."""

_SENT: Final = ("evalsha", "blpop", "ping", "subscribe", "publish", "client|setinfo")
"""Commands that clients send here; the others run inside scripts."""


async def pick_ups(stack: Stack, redis: Redis) -> list[float]:
    """Seconds from created to started, one generation after another on an idle system."""
    waits = []
    for _ in range(WARM_UPS + PICK_UPS):
        body = chat(demo(tokens=1, pace_s=0))
        async with open_stream("POST", f"{stack.urls[0]}/v1/generations", body=body) as stream:
            ids = [frame.data["id"] async for frame in stream if frame.event == "queued"]
        created, started = await _meta(stack, redis, ids[0], "created", "started")
        waits.append((int(started) - int(created)) / 1000)
    return waits[WARM_UPS:]


async def _meta(stack: Stack, redis: Redis, generation_id: str, *names: str) -> list[bytes]:
    # redis-py types this for its synchronous client as well.
    reply: Any = redis.hmget(stack.keys.meta(generation_id), list(names))
    values: list[bytes] = await reply
    return values


async def rates(redis: Redis) -> tuple[dict[str, float], float]:
    """Commands a second over `WATCHED_S`, without renewals and our own; and renewals a second."""
    before, began = await _commands(redis), time.perf_counter()
    await asyncio.sleep(WATCHED_S)
    after, took = await _commands(redis), time.perf_counter() - began
    counts = after - before
    renewals = counts["zadd"]
    counts.subtract(dict.fromkeys(_RENEWAL, renewals))
    return {name: count / took for name, count in counts.items() if count}, renewals / took


async def _commands(redis: Redis) -> Counter[str]:
    """How often each command has run so far, inside scripts too."""
    stats = await redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): fields["calls"] for name, fields in stats.items()}
    return Counter({name: count for name, count in calls.items() if name != "info"})


async def busy_and_idle(stack: Stack, redis: Redis) -> None:
    """Fill the slots of one worker, then add idle workers; print what that costs Redis."""
    asked = [stack.create(demo(gate="end", gate_after=0)) for _ in range(RUNNING)]
    ids = await asyncio.gather(*asked)
    leases: set[bytes] = set()

    async def running() -> bool:
        return {(await _meta(stack, redis, each, "status"))[0] for each in ids} == {b"running"}

    async def renewed() -> bool:
        # The first renewal also loads its script, which does not belong to the figures.
        leases.update(await _meta(stack, redis, ids[-1], "lease"))
        return len(leases) > 1

    await until(running, _START_S, f"{RUNNING} generations running", every_s=0.2)
    await until(renewed, _START_S, "first renewal", every_s=0.1)
    alone, renewals = await rates(redis)
    for _ in range(IDLE_WORKERS):
        await stack.start_worker()

    async def waiting() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"] >= IDLE_WORKERS)

    await until(waiting, _START_S, "idle workers waiting for work", every_s=0.01)
    together, _ = await rates(redis)
    assert await running(), "something ended meanwhile"
    _report(alone, together, renewals)


def _report(alone: dict[str, float], together: dict[str, float], renewals: float) -> None:
    added = {name: together.get(name, 0) - alone.get(name, 0) for name in {*alone, *together}}
    rows = [
        (name + ("" if name in _SENT else " (in scripts)"), _cells(alone.get(name, 0), together.get(name, 0)))
        for name in sorted(added, key=lambda name: (name not in _SENT, name))
    ]
    rows.append(("all", _cells(sum(alone.values()), sum(together.values()))))
    columns = ("one full worker, one API", f"with {IDLE_WORKERS} idle workers", "difference")
    print_table(f"Redis commands/s beyond renewals, {RUNNING} running and none waiting", columns, rows)
    sent = sum(rate for name, rate in added.items() if name in _SENT)
    print(
        f"\n{IDLE_WORKERS} idle workers send {sent:.1f} commands/s beyond renewals (aim: < {AIM_COMMANDS:g}); "
        f"their scripts run {sum(added.values()) - sent:.1f} more; renewals: {renewals:.1f}/s"
    )


def _cells(alone: float, together: float) -> tuple[str, ...]:
    return f"{alone:.1f}", f"{together:.1f}", f"{together - alone:.1f}"


async def main() -> None:
    async with Stack(workers=2) as stack, Redis.from_url(stack.redis.url) as redis:
        waits = await pick_ups(stack, redis)
    title = f"Pick-up on an idle system, 2 workers, {PICK_UPS} generations"
    print_table(title, COLUMNS, [("created to started", milliseconds(waits))])
    print(f"\npick-up p50: {1000 * percentile(waits, 50):.0f} ms (aim: < {AIM_MS:g} ms; Redis counts whole ms)")

    settings = {"slots": RUNNING, "first_token_s": _SILENCE_S, "between_tokens_s": _SILENCE_S}
    async with Stack(settings=settings) as stack, Redis.from_url(stack.redis.url) as redis:
        await busy_and_idle(stack, redis)
        # Without this the worker would wait for these answers while it drains.
        await stack.model.open_gate("end")


if __name__ == "__main__":
    asyncio.run(main())
