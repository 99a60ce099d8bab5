"""Owns Outlive as tests run it: API, worker and demo model as processes, and all of them together.

Knows them only from outside: how they are started, their settings, their HTTP.
"""

import asyncio
import random
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self

from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import open_log_plane
from tests.support.invariants import LogEntry
from tests.support.ports import claim_port, release_port
from tests.support.processes import STOP_S, OsProcess, stop_all
from tests.support.raw_http import Headers, Response, request
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

PROMPT: Final = "Why does the sea look blue?"


class HttpProcess(OsProcess):
    """A program that serves HTTP on its own port, which it keeps when it is restarted."""

    def __init__(
        self,
        name: str,
        program: Sequence[str],
        ready_path: str,
        environ: Mapping[str, str],
        arguments: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        self.port = claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready_path = ready_path
        here = ["--host", "127.0.0.1", "--port", str(self.port)]
        super().__init__(name, [python, "-m", *program, *here, *arguments], environ)

    async def is_ready(self) -> bool:
        try:
            response = await request("GET", self.url + self._ready_path, within_s=2.0)
        except (OSError, TimeoutError):
            return False
        return response.status == 200

    async def stop(self, within_s: float = STOP_S) -> None:
        try:
            await super().stop(within_s)
        finally:
            release_port(self.port)


class ApiProcess(HttpProcess):
    """`outlive api` on its own port."""

    def __init__(self, name: str, environ: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
        super().__init__(name, ["outlive", "api"], "/readyz", environ, arguments)


class WorkerProcess(OsProcess):
    """`outlive worker`. It serves no HTTP here; its log says when it is ready."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        super().__init__(name, [sys.executable, "-m", "outlive", "worker"], environ)

    async def is_ready(self) -> bool:
        return self.has_printed("worker ready")


class ModelProcess(HttpProcess):
    """The demo model and its controls."""

    def __init__(self, name: str = "model", arguments: Sequence[str] = ()) -> None:
        super().__init__(name, ["outlive", "demo-model"], "/healthz", {}, arguments)

    async def open_gate(self, name: str) -> None:
        """Let every stream pass this gate, also those that come later."""
        response = await request("POST", f"{self.url}/control/gates/{name}/open")
        assert response.status in (200, 204), response

    async def requests(self, model: str | None = None) -> list[dict[str, Any]]:
        """The requests it got, oldest first; if `model` is given, only those for it."""
        response = await request("GET", f"{self.url}/control/requests")
        record = response.json()
        requests: list[dict[str, Any]] = record["requests"] if isinstance(record, dict) else record
        return [one for one in requests if model is None or one["model"] == model]


class Stack:
    """A Redis (its own unless given one), a demo model, API processes and workers.

    Without `prefix` its keys are its own, so that many stacks can share one Redis.
    """

    def __init__(
        self,
        *,
        apis: int = 1,
        workers: int = 1,
        redis: RedisServer | None = None,
        prefix: str | None = None,
        settings: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        api_arguments: Sequence[str] = (),
    ) -> None:
        """`settings`: field name -> value. `environ` overrides everything else."""
        self.redis = redis or RedisServer()
        self._owns_redis = redis is None
        self.keys = Keys(prefix or f"ol-{uuid.uuid4().hex[:12]}")
        self.model = ModelProcess()
        self.environ = {
            "OUTLIVE_REDIS_URL": self.redis.url,
            "OUTLIVE_KEY_PREFIX": self.keys.prefix,
            "OPENAI_BASE_URL": f"{self.model.url}/v1",
            "OPENAI_API_KEY": "sk-none-needed",
            # No test needs what still runs when it is over.
            "OUTLIVE_DRAIN_S": "2",
            "OUTLIVE_VIEWER_DRAIN_S": "0.5",
        } | {f"OUTLIVE_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        self.environ |= environ or {}
        self.apis = [ApiProcess(f"api-{i}", self.environ, api_arguments) for i in range(apis)]
        self.workers = [WorkerProcess(f"worker-{i}", self.environ) for i in range(workers)]

    @property
    def urls(self) -> list[str]:
        """The addresses of the API processes."""
        return [api.url for api in self.apis]

    async def __aenter__(self) -> Self:
        try:
            if self._owns_redis:
                await self.redis.start()
            async with asyncio.TaskGroup() as tasks:
                for process in (self.model, *self.apis, *self.workers):
                    tasks.create_task(process.start())
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def start_worker(self) -> WorkerProcess:
        """Start one more worker."""
        worker = WorkerProcess(f"worker-{len(self.workers)}", self.environ)
        self.workers.append(worker)
        return await worker.start()

    async def post(self, body: Any, *, api: int = 0, headers: Headers = ()) -> Response:
        """`POST /v1/generations` with exactly this body."""
        return await request("POST", f"{self.urls[api]}/v1/generations", headers=headers, body=body)

    async def create(self, model: str, *, prompt: str = PROMPT, api: int = 0, **fields: Any) -> str:
        """Create a generation and return its id."""
        response = await self.post(chat(model, prompt, **fields), api=api)
        assert response.status == 201, response
        generation_id: str = response.json()["id"]
        return generation_id

    async def snapshot(self, generation_id: str, *, api: int = 0) -> dict[str, Any]:
        """`GET /v1/generations/{id}`."""
        response = await request("GET", f"{self.urls[api]}/v1/generations/{generation_id}")
        assert response.status == 200, response
        body: dict[str, Any] = response.json()
        return body

    async def cancel(self, generation_id: str, *, api: int = 0) -> dict[str, Any]:
        """`POST /v1/generations/{id}/cancel`."""
        response = await request("POST", f"{self.urls[api]}/v1/generations/{generation_id}/cancel")
        assert response.status == 200, response
        body: dict[str, Any] = response.json()
        return body

    async def closed(self, generation_id: str, within_s: float = 30.0, *, api: int = 0) -> dict[str, Any]:
        """Wait until the generation has ended, without watching it, and return its snapshot."""

        async def over() -> dict[str, Any] | None:
            snapshot = await self.snapshot(generation_id, api=api)
            return None if snapshot["status"] in ("queued", "running") else snapshot

        return await until(over, within_s, f"end of {generation_id}", every_s=0.05)

    async def log(self, generation_id: str) -> list[LogEntry]:
        """The log itself, read from Redis."""
        url = self.environ.get("OUTLIVE_LOG_URL") or self.redis.url
        async with aclosing(open_log_plane(url)) as plane:
            entries = await plane.client.xrange(self.keys.log(generation_id))
        return [(entry_id.decode(), fields[b"type"].decode(), fields[b"data"].decode()) for entry_id, fields in entries]

    async def _stop(self) -> None:
        try:
            await stop_all(*self.apis, *self.workers, self.model)
        finally:
            if self._owns_redis:
                await self.redis.stop()


def demo(**wishes: object) -> str:
    """A model name that tells the demo model what to do: `demo(tokens=5)` is `demo;tokens=5`."""
    return ";".join(["demo", *(f"{name}={value}" for name, value in wishes.items())])


def chat(model: str, prompt: str = PROMPT, **fields: Any) -> dict[str, Any]:
    """The body of a request for one generation."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


def unique() -> str:
    """A name for a gate, a key or a seed that no other request has."""
    return str(random.getrandbits(60))


QUICK: Final = demo(pace_s=0, tokens=5)
"""A model that gives a short answer as fast as possible."""
