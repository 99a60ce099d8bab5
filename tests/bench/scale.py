"""How cost grows with viewers, generations, processes and partitions: `python -m tests.bench.scale`.

It measures CPU time, not speed: so the figures hold although the machine is also busy with the model and the
viewers. Each cost is fitted with a line and an exponent; exit code 1 if one grows faster than in proportion.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from outlive.api.auth.authenticator import DEFAULT_TENANT
from outlive.shared.model.generation import derived_id
from outlive.shared.store.keyspace import partition_of
from tests.bench.cores import cpu_s
from tests.bench.counting import watch
from tests.bench.fit import growth
from tests.bench.table import print_table
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, chat, demo, unique
from tests.support.waiting import until

TOKENS_PER_S: Final = 10
WATCHED_S: Final = 4.0
_WITHIN_S: Final = 60.0
_PROPORTION: Final = 1.15
"""The exponent up to which growth counts as in proportion; noise does not explain more."""

SETTINGS: Final = {"slots": 1000, "feed_linger_s": 0.1, "retention_s": 60}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one load, each per second."""

    events: float
    """Reaching viewers."""
    api: float
    worker: float
    redis: float
    """Seconds of CPU."""
    commands: float
    """That clients sent to Redis."""


COSTS: Final = {"API": "api", "workers": "worker", "Redis": "redis", "commands": "commands"}


async def measured(stack: Stack, servers: Sequence[RedisServer], *, ids: list[str], viewers: int) -> Cost:
    """What these generations cost while `viewers` watch each."""
    watching = await watch(stack.urls, ids, viewers)
    try:
        await until(lambda: all(one.events > TOKENS_PER_S / 2 for one in watching), _WITHIN_S, "events at every viewer")
        before, began = await _spent(stack, servers), time.monotonic()
        seen = sum(one.events for one in watching)
        # The window itself.
        await asyncio.sleep(WATCHED_S)
        after, took = await _spent(stack, servers), time.monotonic() - began
        seen = sum(one.events for one in watching) - seen
    finally:
        for one in watching:
            one.close()
        await asyncio.gather(*(stack.cancel(generation_id) for generation_id in ids))
    return Cost(seen / took, *((b - a) / took for a, b in zip(before, after, strict=True)))


async def _spent(stack: Stack, servers: Sequence[RedisServer]) -> tuple[float, float, float, float]:
    commands = 0
    for server in servers:
        async with Redis.from_url(server.url) as redis:
            commands += (await redis.info("stats"))["total_commands_processed"]
    return (
        sum(cpu_s(process.pid) for process in stack.apis),
        sum(cpu_s(process.pid) for process in stack.workers),
        sum(cpu_s(process.pid) for process in servers),
        commands,
    )


async def begin(stack: Stack, count: int, *, partitions: int = 0) -> list[str]:
    """So many generations that run for longer than the measurement; in so many partitions, if given."""
    model = demo(pace_s=1 / TOKENS_PER_S, tokens=int(TOKENS_PER_S * _WITHIN_S))
    made: list[str] = []
    for start in range(0, count, 50):
        asked = [
            stack.post(chat(model), headers=[("Idempotency-Key", _key(stack, i % partitions))] if partitions else [])
            for i in range(start, min(start + 50, count))
        ]
        made += [answer.json()["id"] for answer in await asyncio.gather(*asked)]
    return made


def _key(stack: Stack, partition: int) -> str:
    """An Idempotency-Key whose generation is in this partition."""
    return next(key for key in iter(unique, "") if partition_of(derived_id(DEFAULT_TENANT, key)) == partition)


async def loads(stack: Stack, servers: Sequence[RedisServer], sizes: Sequence[tuple[int, int]]) -> list[Cost]:
    """The cost of so many generations with so many viewers each, one load after another."""
    loads_s = []
    for generations, viewers in sizes:
        loads_s.append(await measured(stack, servers, ids=await begin(stack, generations), viewers=viewers))
    return loads_s


async def by_viewers() -> bool:
    """More and more viewers of ten generations."""
    sizes = [(10, 5), (10, 20), (10, 50), (10, 100)]
    async with running_redis() as redis, Stack(redis=redis, settings=SETTINGS) as stack:
        empty = stack.apis[0].resident_bytes
        loads_s = await loads(stack, [redis], sizes)
        each = (stack.apis[0].resident_bytes - empty) / 1000
    print(f"\nmemory of an API process: {each / 1024:.0f} KiB for each of 1,000 viewers")
    return report("viewers", [generations * viewers for generations, viewers in sizes], loads_s)


async def by_generations() -> bool:
    """More and more generations with one viewer each."""
    sizes = [(25, 1), (50, 1), (100, 1), (200, 1)]
    async with running_redis() as redis, Stack(redis=redis, settings=SETTINGS) as stack:
        loads_s = await loads(stack, [redis], sizes)
    return report("generations", [generations for generations, _ in sizes], loads_s)


async def by_processes() -> bool:
    """The same load, on more and more processes of each kind."""
    numbers, loads_s = [1, 2, 4], []
    for number in numbers:
        async with (
            running_redis() as redis,
            Stack(redis=redis, settings=SETTINGS, apis=number, workers=number) as stack,
        ):
            loads_s += await loads(stack, [redis], [(40, 4)])
    return report("processes of each kind", numbers, loads_s)


async def by_partitions() -> bool:
    """The same load on a cluster of three, in more and more partitions."""
    numbers, loads_s = [4, 16, 64], []
    async with RedisCluster(timeout_s=15) as cluster, running_redis() as queue:
        for number in numbers:
            async with Stack(redis=queue, settings={**SETTINGS, "log_url": cluster.url}) as stack:
                ids = await begin(stack, 64, partitions=number)
                loads_s.append(await measured(stack, [*cluster.nodes, queue], ids=ids, viewers=2))
    return report("partitions of a cluster", numbers, loads_s)


def report(amount: str, amounts: Sequence[int], costs: Sequence[Cost]) -> bool:
    """Print one series and its fit; return whether everything grew at most in proportion."""
    rows = [
        (f"{size}", [f"{cost.events:.0f}", *(f"{1000 * one:.0f}" for one in (cost.api, cost.worker, cost.redis)),
                     f"{cost.commands:.0f}"])
        for size, cost in zip(amounts, costs, strict=True)
    ]  # fmt: skip
    columns = ("events/s to viewers", "API ms CPU/s", "worker", "Redis", "commands/s, in scripts too")
    print_table(f"By {amount}", columns, rows)
    fits = {name: growth(amounts, [getattr(cost, field) for cost in costs]) for name, field in COSTS.items()}
    print()
    for name, fit in fits.items():
        unit, factor = ("commands/s", 1.0) if name == "commands" else ("us CPU/s", 1e6)
        line = f"{fit.base * factor:.0f} + {fit.each * factor:.1f} {unit} each"
        print(f"{name}: {line}; grows with {amount}^{fit.exponent:.2f}")
    return all(fit.exponent <= _PROPORTION for fit in fits.values())


@asynccontextmanager
async def running_redis() -> AsyncIterator[RedisServer]:
    server = RedisServer(tcp=True)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def main() -> int:
    grown = [await sweep() for sweep in (by_viewers, by_generations, by_processes, by_partitions)]
    print("\nnothing grows faster than in proportion" if all(grown) else "\nSOMETHING GROWS FASTER THAN IN PROPORTION")
    return int(not all(grown))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
