"""How the cost of a token grows with the number of answers that are open: `python -m tests.bench.growth [N...]`.

All answers together say 200 tokens a second, and each has one viewer; only how many are open grows. API, worker and
Redis share the first core. It prints lateness (from the provider's write to the viewer's read), CPU a token, and the
commands that Redis ran a token. One run with 3,000 takes two minutes.
"""

import argparse
import asyncio
import re
import resource
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from outlive.shared.model.codec import encode_json
from tests.bench.command_counts import Count, counted
from tests.bench.cores import LOAD_CORE, SERVER_CORE, Reading, pinned
from tests.bench.stamping_model import stamped, stamping_model
from tests.bench.table import percentile, print_table
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, chat
from tests.support.waiting import until

OPEN: Final = (100, 1_000, 3_000)
TOKENS_PER_S: Final = 200
_OPENED_PER_S: Final = 80
_SETTLE_S: Final = 8.0
_WATCHED_S: Final = 12.0
_COUNTED_S: Final = 30.0
"""Long, because renewals and checks come in rounds of some seconds."""
_WITHIN_S: Final = 120.0
_FILES: Final = 20_000
_MIN_KIND: Final = 0.02
"""Commands a token below which a kind of command gets no line of its own."""

_STAMP: Final = re.compile(rb"@([0-9.]+) ")


class Viewer(asyncio.Protocol):
    """One connection whose stamps are read."""

    def __init__(self, path: str, body: Any = None) -> None:
        """With `body` it creates the generation that it watches."""
        self.opened_at = 0.0
        self.first_s: float | None = None
        """From the request to the first event."""
        self.lateness_s: list[float] = []
        self._path = path
        self._body = b"" if body is None else encode_json(body)

    async def open(self, url: str) -> "Viewer":
        """Connect and send the request."""
        address = urlsplit(url)
        await asyncio.get_running_loop().create_connection(lambda: self, address.hostname or "", address.port or 80)
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        head = (
            f"{'POST' if self._body else 'GET'} {self._path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"
        )
        if self._body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n"
        self.opened_at = time.time()
        transport.write(head.encode() + b"\r\n" + self._body)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if self.first_s is None and b"\nevent: " in data:
            self.first_s = now - self.opened_at
        # One stamp in thousands is split over two reads, and is left out.
        self.lateness_s += [now - float(stamp) for stamp in _STAMP.findall(data)]

    def close(self) -> None:
        self._transport.abort()


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one number of open answers. CPU seconds are a token's."""

    open: int
    lateness_s: Sequence[float]
    cpu_s: dict[str, float]
    """Of worker, API and Redis."""
    commands: dict[str, Count]
    """During `_COUNTED_S`, by script or command."""
    tokens_counted: int

    @property
    def commands_a_token(self) -> float:
        return sum(count.sent + count.inside for count in self.commands.values()) / self.tokens_counted


async def measured(count: int) -> Growth:
    """The cost with so many open answers."""
    pace_s = count / TOKENS_PER_S
    life_s = count / _OPENED_PER_S + _SETTLE_S + _WATCHED_S + _COUNTED_S + _WITHIN_S
    body = chat(stamped(tokens=int(life_s / pace_s) + 1, pace_s=pace_s), deadline_s=3600)
    viewers: list[Viewer] = []
    async with stamping_stack(slots=count) as (stack, redis):
        try:
            for _ in range(count):
                viewers.append(await Viewer("/v1/generations", body).open(stack.urls[0]))
                await asyncio.sleep(1 / _OPENED_PER_S)
            await until(lambda: all(viewer.lateness_s for viewer in viewers), _WITHIN_S, "a token at every viewer")
            # What opening costs must be over. Every wait from here on is a window of the measurement.
            await asyncio.sleep(_SETTLE_S)
            pids = {"worker": stack.workers[0].pid, "API": stack.apis[0].pid, "Redis": redis.pid}
            before = Reading.of(pids)
            lateness_s = await lateness_within(viewers, _WATCHED_S)
            used_s = Reading.of(pids).since(before)
            assert redis.socket_path is not None
            seen = sum(len(viewer.lateness_s) for viewer in viewers)
            commands = await counted(redis.socket_path, _COUNTED_S)
            tokens_counted = sum(len(viewer.lateness_s) for viewer in viewers) - seen
        finally:
            for viewer in viewers:
                viewer.close()
    cpu_s = {name: used / len(lateness_s) for name, used in used_s.items()}
    return Growth(count, lateness_s, cpu_s, commands, tokens_counted)


async def lateness_within(viewers: Iterable[Viewer], seconds: float) -> list[float]:
    """The lateness of each token that these viewers get from now on for so long."""
    before = [(viewer, len(viewer.lateness_s)) for viewer in viewers]
    await asyncio.sleep(seconds)
    return [late_s for viewer, seen in before for late_s in viewer.lateness_s[seen:]]


@asynccontextmanager
async def stamping_stack(*, slots: int) -> AsyncIterator[tuple[Stack, RedisServer]]:
    """API, worker and Redis on the first core, a provider that stamps its tokens on the other."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    model, redis = stamping_model(), RedisServer()
    model.command = pinned(model.command, LOAD_CORE)
    redis.command = pinned(redis.command, SERVER_CORE)
    settings = {"slots": slots, "between_tokens_s": 300, "first_token_s": 300}
    stack = Stack(redis=redis, settings=settings, environ={"OPENAI_BASE_URL": f"{model.url}/v1"})
    for process in (*stack.apis, *stack.workers):
        process.command = pinned(process.command, SERVER_CORE)
    await redis.start()
    try:
        await model.start()
        async with stack:
            try:
                yield stack, redis
            finally:
                # Thousands of hand-overs take a worker longer than it may take to stop.
                for process in (*stack.apis, *stack.workers):
                    process.kill()
    finally:
        model.kill()
        await model.stop()
        await redis.stop()


def report(runs: Sequence[Growth]) -> None:
    """Print lateness and CPU, then commands by kind."""
    rows = []
    for run in runs:
        late = [f"{1000 * percentile(run.lateness_s, percent):.0f}" for percent in (50, 99)]
        cpu = [f"{1e6 * run.cpu_s[name]:.0f}" for name in ("worker", "API", "Redis")]
        rows.append((f"{run.open:,}", [*late, *cpu, f"{1e6 * sum(run.cpu_s.values()):.0f}"]))
    columns = ("p50 ms", "p99 ms", "worker us", "API us", "Redis us", "all us")
    print_table(f"{TOKENS_PER_S} tokens/s over open answers: lateness, CPU a token", columns, rows)
    names = {name for run in runs for name in run.commands}
    lines = []
    for name in sorted(names):
        counts = [(run.commands.get(name, Count(0, 0)), run.tokens_counted) for run in runs]
        if any(count.sent + count.inside > _MIN_KIND * tokens for count, tokens in counts):
            lines.append((name, [f"{count.sent / n:.2f} + {count.inside / n:.2f}" for count, n in counts]))
    lines.append(("all", [f"{run.commands_a_token:.1f}" for run in runs]))
    print_table(
        "Commands a token by script or command: sent + run by the script", [f"{run.open:,}" for run in runs], lines
    )


async def main(counts: Sequence[int]) -> None:
    runs = []
    for count in counts:
        runs.append(await measured(count))
        # Keep the figures so far if a larger run fails.
        report(runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("open", nargs="*", type=int, default=list(OPEN), help="how many answers are open")
    asyncio.run(main(parser.parse_args().open))
