"""Owns the side of the worker: many answers at once from the demo model into Redis, ours and the usual way.

`python -m tests.bench.writing` shows that ours keeps up. Each worker has the first core; the model and Redis share the
second. All answers wait at one gate of the model until all have begun, so that only streaming is measured.

What each step gained, in chunks per CPU-second of a worker that has more to do than it can:

| | |
|---|--:|
| the SDK's stream of dicts | 10.6k |
| events cut and JSON read by ourselves (`worker/upstream/sse_parser.py`) | 12.9k |
| aiohttp's HTTP under the SDK's client (`worker/upstream/aiohttp_transport.py`) | 25.6k |
| one timer for all words (`worker/attempt/idle_timeout.py`), fewer calls a piece | 27.9k |

A worker that keeps up costs more a chunk, because then each comes alone: 23k. It flushes less often when it
is busy (`worker/publishing/publisher.py`): with 100 answers 9.9k became 15k, with 300 16k became 20k.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog, LogLimits
from outlive.shared.log.reader import LogReader
from outlive.shared.model.generation import Meta
from outlive.shared.queue.queue import Queue
from outlive.shared.store.keyspace import Keys
from tests.bench.cores import LOAD_CORE, SERVER_CORE, Reading, pinned
from tests.bench.peers import generation
from tests.bench.table import print_table
from tests.support.processes import OsProcess, stop_all
from tests.support.redis_server import RedisServer
from tests.support.stack import ModelProcess, WorkerProcess, chat, demo
from tests.support.waiting import until

ANSWERS: Final = 500
TOKENS: Final = 250
PACE_S: Final = 0.02
_LENGTHS: Final = (125, 250, 500, 1000)
_LEASE_S: Final = 10.0
_HOUR_S: Final = 3600.0
_WITHIN_S: Final = 120.0
_GATE: Final = "all"

Process = TypeVar("Process", bound=OsProcess)


@dataclass(frozen=True, slots=True)
class Written:
    """The figures of one run. A chunk is one piece of text from the model."""

    tokens: int
    """Of each answer."""
    took_s: float
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        return ANSWERS * self.tokens / self.cpu_s

    @property
    def late_s(self) -> float:
        """How long after the model's own schedule the last answer was in the log."""
        return self.took_s - self.tokens * PACE_S


async def ours(tokens: int = TOKENS) -> Written:
    """Our worker, which gets its deliveries through the queue."""
    environ = {"OUTLIVE_SLOTS": str(ANSWERS)}
    async with _Site() as site:
        worker = site.runs(WorkerProcess("worker", site.environ | environ))
        await worker.start()
        keys = Keys("ol")
        log = EventLog(site.client, keys, LogLimits(_LEASE_S, 3, _HOUR_S, _HOUR_S))
        queue = Queue(site.client, keys, expiry_s=_HOUR_S)
        reader = LogReader(site.client, keys)
        ids: list[str] = []
        for _ in range(ANSWERS):
            new = generation(chat(_model(tokens)))
            await log.create(new)
            await queue.enqueue(new.id, 1)
            ids.append(new.id)

        async def are_closed(some: list[str]) -> bool:
            return all(isinstance(meta, Meta) and meta.is_closed for meta in await reader.metas(some))

        async def closed() -> bool:
            # Wait for one first: polling all takes time on the core that Redis and the model share.
            return await are_closed(ids[-1:]) and await are_closed(ids)

        return await site.measured(worker, closed, tokens)


async def tutorial() -> Written:
    """Typed iteration and an XADD for each chunk."""
    async with _Site() as site:
        command = [sys.executable, "-m", "tests.bench.baseline.worker", _model(TOKENS), str(ANSWERS)]
        worker = site.runs(OsProcess("tutorial", command, site.environ))
        await worker.start()

        async def done() -> bool:
            return worker.has_printed("worker done")

        return await site.measured(worker, done, TOKENS)


class _Site:
    """Redis and the model on one core, a worker on the other."""

    def __init__(self) -> None:
        self._redis = RedisServer()
        self._model = ModelProcess()
        for process in (self._redis, self._model):
            process.command = pinned(process.command, LOAD_CORE)
        self._running: list[OsProcess] = []
        self.environ = {
            "OUTLIVE_REDIS_URL": self._redis.url,
            "OUTLIVE_DRAIN_S": "1",
            "OPENAI_BASE_URL": f"{self._model.url}/v1",
            "OPENAI_API_KEY": "sk-none-needed",
        }

    def runs(self, worker: Process) -> Process:
        worker.command = pinned(worker.command, SERVER_CORE)
        self._running.append(worker)
        return worker

    async def measured(self, worker: OsProcess, is_over: Callable[[], Awaitable[bool]], tokens: int) -> Written:
        """From the moment when all answers have begun to the end of the last."""

        async def begun() -> bool:
            asked = await self._model.requests()
            return sum(one["at_gate"] is not None for one in asked) == ANSWERS

        await until(begun, _WITHIN_S, "all answers at the gate", every_s=0.2)
        pids = {"worker": worker.pid}
        before, began = Reading.of(pids), time.perf_counter()
        await self._model.open_gate(_GATE)
        await until(is_over, _WITHIN_S, "the last answer", every_s=0.05)
        took_s = time.perf_counter() - began
        return Written(tokens, took_s, Reading.of(pids).since(before)["worker"])

    async def __aenter__(self) -> Self:
        await self._redis.start()
        await self._model.start()
        self.client = Redis.from_url(self._redis.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        for process in self._running:
            process.kill()
        await stop_all(*self._running, self._model, self._redis)


def _model(tokens: int) -> str:
    return demo(tokens=tokens, pace_s=PACE_S, gate=_GATE, gate_after=0)


async def main() -> None:
    """Show that a worker keeps up: how late it is at the end does not depend on the length of the run."""
    rows = []
    for tokens in _LENGTHS:
        run = await ours(tokens)
        rows.append((f"{tokens:,} tokens", [f"{run.late_s:.2f}", f"{run.per_cpu_s / 1000:.1f}k"]))
    print_table(f"A worker with {ANSWERS} answers at 50 tokens/s", ["s late at the end", "chunks per CPU-s"], rows)


if __name__ == "__main__":
    asyncio.run(main())
