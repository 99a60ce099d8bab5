"""Owns the processes of a fault test: two API processes, workers, a model, and Redis with a replica.

Each process of ours reaches Redis through a link of its own, so that a fault can hit one process alone.
Knows nothing of the fault or of the viewers.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio import Redis

from tests.chaos import blocked_loop
from tests.chaos.redis_tap import Command, Tap, TappedCommand, Trap
from tests.support.processes import START_S, OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import ApiProcess, Stack, WorkerProcess
from tests.support.tcp_fault_proxy import TcpFaultProxy
from tests.support.waiting import until

LEASE_S: Final = 1.0


class Link:
    """The connections of one process to Redis, and the record of what it sends there."""

    def __init__(self, process: OsProcess, port: int) -> None:
        self.process = process
        self.tap = Tap()
        self.proxy = TcpFaultProxy(port, self.tap.observe)
        process.environ["OUTLIVE_REDIS_URL"] = f"redis://127.0.0.1:{self.proxy.port}/0"


class WorkerTrap:
    """A trap on every worker. It holds the first worker that sends a matching command."""

    def __init__(self, traps: Mapping[WorkerProcess, Trap]) -> None:
        self._traps = traps

    async def worker(self) -> WorkerProcess:
        """Wait until a worker is held, release the others, and return that worker."""
        held = await until(
            lambda: [w for w, trap in self._traps.items() if trap.sprung.is_set()], START_S, "a held worker"
        )
        for worker, trap in self._traps.items():
            if worker is not held[0]:
                trap.release()
        return held[0]

    def release(self) -> None:
        """Let the held command go on."""
        for trap in self._traps.values():
            trap.release()

    def drop(self) -> None:
        """Drop the held command, and end its connection."""
        for trap in self._traps.values():
            trap.release(passes=False)


class Deployment:
    """Starts complete, and can be repaired after a fault."""

    def __init__(
        self,
        *,
        workers: int = 2,
        apis: int = 2,
        replica: bool = False,
        replica_environ: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.stack = Stack(
            apis=apis,
            workers=workers,
            redis=RedisServer(tcp=True),
            prefix="ol",
            settings={
                "lease_s": LEASE_S,
                "drain_s": 0.3,
                "viewer_drain_s": 0.5,
                "feed_linger_s": 2,
                **(settings or {}),
            },
        )
        self._links = {process: Link(process, self.redis.port) for process in (*self.workers, *self.apis)}
        for worker in self.workers:
            worker.environ |= blocked_loop.ENVIRON
        self.replica_environ = dict(replica_environ or {})
        """Environment of the next replica."""
        self.has_replica = replica
        self.replica: RedisServer | None = None
        self.replication: TcpFaultProxy | None = None

    @property
    def redis(self) -> RedisServer:
        """The current primary."""
        return self.stack.redis

    @property
    def workers(self) -> list[WorkerProcess]:
        return self.stack.workers

    @property
    def apis(self) -> list[ApiProcess]:
        return self.stack.apis

    @property
    def living_apis(self) -> list[int]:
        """The numbers of the API processes that run."""
        return [i for i, api in enumerate(self.apis) if api.running]

    @property
    def taps(self) -> list[Tap]:
        return [link.tap for link in self._links.values()]

    @property
    def links(self) -> list[Link]:
        return list(self._links.values())

    def link(self, process: OsProcess) -> Link:
        return self._links[process]

    async def __aenter__(self) -> Self:
        try:
            await self.redis.start()
            for link in self._links.values():
                await link.proxy.start()
            if self.has_replica:
                await self.add_replica()
            await self.stack.__aenter__()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def start_stopped(self, *processes: OsProcess) -> None:
        """Start those of these processes that do not run, and wait until they are ready."""
        await asyncio.gather(*(process.start() for process in processes if not process.running))

    async def repair(self) -> None:
        """Make every process run and every link work, and hold nothing."""
        if self.replication is not None:
            self.replication.heal()
        for link in self._links.values():
            link.process.resume()
            link.tap.clear()
            link.proxy.heal()
        await self.start_stopped(self.redis)
        await self.start_stopped(*self.workers, *self.apis)
        if self.has_replica and self.replica is None:
            await self.add_replica()

    async def add_replica(self) -> None:
        """Start a replica of the primary behind a link of its own, and wait until it follows."""
        self.replication = TcpFaultProxy(self.redis.port)
        await self.replication.start()
        following = ["--replicaof", "127.0.0.1", str(self.replication.port)]
        self.replica = RedisServer(tcp=True, options=following, name="replica")
        self.replica.environ |= self.replica_environ
        await self.replica.start()
        async with self.client(self.replica) as redis:

            async def follows() -> bool:
                return bool((await redis.info("replication"))["master_link_status"] == "up")

            await until(follows, 20, "the replica follows")

    async def promote(self) -> None:
        """Kill the primary; the replica takes over its role and its address."""
        assert self.replica is not None
        assert self.replication is not None
        old_primary, self.stack.redis = self.redis, self.replica
        old_primary.kill()
        await self.replication.stop()
        async with self.client() as redis:
            await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        for link in self._links.values():
            link.proxy.target = self.redis.port
            link.proxy.cut()
        await old_primary.stop()
        self.replica = self.replication = None

    def client(self, server: RedisServer | None = None) -> Redis:
        """A connection that bypasses all links."""
        client: Redis = Redis.from_url((server or self.redis).url, decode_responses=True)
        return client

    def takes(self, generation_id: str) -> list[tuple[WorkerProcess, TappedCommand]]:
        """Every `take` of this generation that Redis accepted, the earliest first."""
        takes = [
            (worker, tapped)
            for worker in self.workers
            for tapped in self.link(worker).tap.log_commands
            if tapped.command.verb == "take" and tapped.reply == "OK" and tapped.command.generation_id == generation_id
        ]
        return sorted(takes, key=lambda pair: pair[1].replied_at)

    async def owner(self, generation_id: str, attempt: int = 1) -> WorkerProcess:
        """Wait for this attempt, and return the worker that makes it."""

        def taken() -> WorkerProcess | None:
            takes = self.takes(generation_id)
            return takes[attempt - 1][0] if len(takes) >= attempt else None

        return await until(taken, START_S, f"attempt {attempt} of {generation_id}")

    def trap_first_worker(self, matches: Callable[[Command], bool], *, after: bool = False) -> "WorkerTrap":
        """Hold the first command of any worker that matches, before Redis gets it or `after` Redis has replied."""
        return WorkerTrap({worker: self.link(worker).tap.trap(matches, after=after) for worker in self.workers})

    async def provider_requests(self, model: str) -> list[dict[str, Any]]:
        """The provider's record of the requests for one generation."""
        return await self.stack.model.requests(model)

    async def _stop(self) -> None:
        try:
            for link in self._links.values():
                link.process.resume()
                link.tap.clear()
                link.proxy.heal()
            await self.stack.__aexit__(None, None, None)
        finally:
            for link in self._links.values():
                await link.proxy.stop()
            if self.replication is not None:
                await self.replication.stop()
            for server in (self.replica, self.redis):
                if server is not None:
                    await server.stop()
