"""Owns the order: what starts after what, when it counts as ready, and the order of the end.

Knows the packages it starts only by their commands and addresses.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from outlive.deploy.demo_model.listener import listen
from outlive.deploy.local import providers, redis_server
from outlive.deploy.local.child import Child, Command, Hopeless
from outlive.deploy.local.console import Console, welcome

HOST: Final = "127.0.0.1"

_READY_S: Final = 60.0
"""Generous: a slow machine imports for seconds, and a large append-only file takes its time."""
_WORKER_READY: Final = "worker ready"
"""In a line of a worker's log when it has begun to claim generations: it has a port for this only where one is set."""
_PROBE_EVERY_S: Final = 0.05
_PROBE_S: Final = 2.0
_MODELS_S: Final = 2.0
"""How long the welcome waits for the providers' lists of models."""
_FAILED: Final = 1
_REFUSED: Final = 2
_TOOLS: Final = "outlive.deploy.demo_tools"
"""What the workers offer if OUTLIVE_TOOLS is not set; a request must still name them."""
_END_S: Final = 5.0
"""How long a process may take to end, beyond the drain time of those that have one."""


class Fault(NamedTuple):
    """Why `outlive up` ended before it was asked to."""

    sentence: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. Without `server` Redis runs already, at `redis_url`."""

    port: int
    apis: int
    workers: int
    redis_url: str
    server: redis_server.Server | None
    data: Path
    lock: int | None
    demo_model: bool
    drain_s: float
    environ: Mapping[str, str]


class Launcher:
    """All processes of one `outlive up`."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        # Only this process holds the write end, so the kernel closes it however this process ends; see `leash`.
        self._lifeline, self._held = os.pipe()
        self._listener: socket.socket | None = None
        self._stopping = asyncio.Event()
        self._fault: Fault | None = None
        self._stages: list[list[Child]] = []
        self._environ = (
            {"OUTLIVE_TOOLS": _TOOLS}
            | dict(plan.environ)
            | {
                "PYTHONUNBUFFERED": "1",
                "OUTLIVE_REDIS_URL": plan.redis_url,
                "OUTLIVE_DRAIN_S": str(plan.drain_s),
            }
        )

    def stop(self) -> None:
        """End all processes."""
        self._stopping.set()

    def interrupt(self) -> None:
        """End all processes; the second time, without waiting for any of them."""
        if self._stopping.is_set():
            for stage in self._stages:
                for child in stage:
                    child.kill()
        self._stopping.set()

    def fail(self, sentence: str, exit_code: int = _FAILED) -> None:
        """End all processes, for this reason."""
        self._fault = self._fault or Fault(sentence, exit_code)
        self._stopping.set()

    def give_up(self, why: Hopeless) -> None:
        """End all processes, because one of them cannot run. One that refuses a setting has said all in its own
        sentence."""
        if why.refused:
            self.fail(why.reason, _REFUSED)
        else:
            self.fail(f"Outlive cannot start: {why.reason}.")

    async def run(self) -> Fault | None:
        """Start, supervise, and end when asked to. Returns what went wrong, if anything did."""
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(self._start(tasks))
            await self._stopping.wait()
            starting.cancel()
            await self._end()
        return self._fault

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        plan = self._plan
        # -P: with -m alone a module in the current folder could take the place of a library.
        outlive = [sys.executable, "-P", "-m", "outlive"]
        if plan.server is not None:
            keep = () if plan.lock is None else (plan.lock,)
            argv = plan.server.command(plan.data, redis_server.socket_path(plan.data))
            self._add(tasks, [Command("redis", argv, self._environ, keep, tries=1)])
            await self._ready("redis", lambda: redis_server.answers(plan.redis_url))
        demo: list[str] = []
        if plan.demo_model:
            # The model inherits our listening socket: the port stays ours while the model is restarted.
            self._listener = listen(HOST, 0)
            descriptor, port = self._listener.fileno(), self._listener.getsockname()[1]
            self._environ |= {"OPENAI_BASE_URL": f"http://{HOST}:{port}/v1", "OPENAI_API_KEY": "demo"}
            argv = [*outlive, "demo-model", "--fd", str(descriptor)]
            self._add(tasks, [Command("model", argv, self._environ, (descriptor,))])
            await self._ready("model", lambda: _answers_ok(port, "/healthz"))
            demo = [f"the demo model at http://{HOST}:{port}/v1"]
        numbers = [""] if plan.workers == 1 else [f" {i + 1}" for i in range(plan.workers)]
        commands = [
            Command(f"worker{number}", [*outlive, "worker"], self._environ, ready_words=_WORKER_READY)
            for number in numbers[: plan.workers]
        ]
        argv = [*outlive, "api", "--host", HOST, "--port", str(plan.port), "--workers", str(plan.apis)]
        *workers, _ = self._add(tasks, [*commands, Command("api", argv, self._environ)])
        _, known = await asyncio.gather(self._serving(workers), self._known_providers())
        for stage in self._stages:
            for child in stage:
                child.has_started = True
        model = "demo" if plan.demo_model else next((each for one in known for each in one.models), "")
        named = demo or list(providers.lines(known))
        for line in welcome(plan.port, plan.apis, plan.workers, self._redis_description(), named, model):
            self._console.print(line)

    async def _serving(self, workers: list[Child]) -> None:
        """Return when the API and the workers are ready."""
        await self._ready("api", lambda: _answers_ok(self._plan.port, "/readyz"))
        for worker in workers:
            await self._ready(worker.name, worker.is_ready)

    async def _known_providers(self) -> list[providers.Provider]:
        """Those that the environment names, asked while the workers start."""
        return [] if self._plan.demo_model else await providers.asked(self._environ, _MODELS_S)

    def _add(self, tasks: asyncio.TaskGroup, commands: list[Command]) -> list[Child]:
        stage = [Child(command, self._lifeline, self._console.print) for command in commands]
        self._stages.append(stage)
        for child in stage:
            tasks.create_task(child.run(self.give_up))
        return stage

    async def _ready(self, name: str, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Return when `is_ready` says so. It polls, because servers do not announce that they are up."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + _READY_S
        while not await is_ready():
            if loop.time() > latest:
                self.fail(f"Outlive cannot start: {name} was not ready within {_READY_S:g} s.")
            await asyncio.sleep(_PROBE_EVERY_S)

    async def _end(self) -> None:
        """In the opposite order: first the processes that serve, then those they need."""
        for number, stage in reversed(list(enumerate(self._stages))):
            within_s = _END_S + (self._plan.drain_s if number == len(self._stages) - 1 else 0.0)
            await asyncio.gather(*(child.end(within_s) for child in stage))

    def _redis_description(self) -> str:
        server = self._plan.server
        if server is None:
            return "the one at OUTLIVE_REDIS_URL"
        return f"{server.description}\n             {self._plan.redis_url}, data in {self._plan.data}"


async def _answers_ok(port: int, path: str) -> bool:
    """One GET without an HTTP client, whose import would take longer than everything else here."""
    try:
        async with asyncio.timeout(_PROBE_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return status.split(b" ")[1:2] == [b"200"]
