"""Owns the processes of a fault test: two API processes, workers, a model, and Redis with a replica.

Each process of ours reaches Redis through a link of its own, so that a fault can meet one alone.
Knows nothing of what goes wrong or of who watches.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio import Redis

from tests.chaos import blocked_loop
from tests.chaos.redis_tap import Command, Said, Tap, Trap
from tests.support.processes import START_S, OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import ApiProcess, Stack, WorkerProcess
from tests.support.tcp_fault_proxy import FaultProxy
from tests.support.waiting import until

LEASE_S: Final = 1.0


class Link:
    """One process's way to Redis, and what it says on it."""

    def __init__(self, process: OsProcess, port: int) -> None:
        self.process = process
        self.tap = Tap()
        self.proxy = FaultProxy(port, self.tap.watch)
        process.environ["OUTLIVE_REDIS_URL"] = f"redis://127.0.0.1:{self.proxy.port}/0"


class Catch:
    """A trap on every worker; the first to step in is caught."""

    def __init__(self, traps: Mapping[WorkerProcess, Trap]) -> None:
        self._traps = traps

    async def worker(self) -> WorkerProcess:
        """Whoever stepped in; the others go free."""
        caught = await until(lambda: [w for w, trap in self._traps.items() if trap.sprung.is_set()], START_S, "a catch")
        for worker, trap in self._traps.items():
            if worker is not caught[0]:
                trap.release()
        return caught[0]

    def free(self) -> None:
        """What was held goes on."""
        for trap in self._traps.values():
            trap.release()

    def lose(self) -> None:
        """What was held never arrives; its connection ends."""
        for trap in self._traps.values():
            trap.release(passes=False)


class Fleet:
    """Starts whole and can be made whole again after a fault."""

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
        """Of the next replica."""
        self.has_replica = replica
        self.replica: RedisServer | None = None
        self.replication: FaultProxy | None = None

    @property
    def redis(self) -> RedisServer:
        """The primary of now."""
        return self.stack.redis

    @property
    def workers(self) -> list[WorkerProcess]:
        return self.stack.workers

    @property
    def apis(self) -> list[ApiProcess]:
        return self.stack.apis

    @property
    def living_apis(self) -> list[int]:
        """Which API processes can be asked."""
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

    async def revive(self, *processes: OsProcess) -> None:
        """Start those of these that do not run, and wait until they work."""
        await asyncio.gather(*(process.start() for process in processes if not process.running))

    async def mend(self) -> None:
        """Everything runs, every link is whole, nothing is held."""
        if self.replication is not None:
            self.replication.heal()
        for link in self._links.values():
            link.process.resume()
            link.tap.clear()
            link.proxy.heal()
        await self.revive(self.redis)
        await self.revive(*self.workers, *self.apis)
        if self.has_replica and self.replica is None:
            await self.add_replica()

    async def add_replica(self) -> None:
        """A replica of the primary, behind a link of its own, and wait until it follows."""
        self.replication = FaultProxy(self.redis.port)
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
        """The primary dies; the replica takes its place, and its address."""
        assert self.replica is not None
        assert self.replication is not None
        former, self.stack.redis = self.redis, self.replica
        former.kill()
        await self.replication.stop()
        async with self.client() as redis:
            await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        for link in self._links.values():
            link.proxy.target = self.redis.port
            link.proxy.cut()
        await former.stop()
        self.replica = self.replication = None

    def client(self, server: RedisServer | None = None) -> Redis:
        """A connection past all links."""
        client: Redis = Redis.from_url((server or self.redis).url, decode_responses=True)
        return client

    def takes(self, generation_id: str) -> list[tuple[WorkerProcess, Said]]:
        """Every `take` of this generation that was answered OK, the earliest first."""
        found = [
            (worker, said)
            for worker in self.workers
            for said in self.link(worker).tap.said
            if said.command.verb == "take" and said.answer == "OK" and said.command.generation_id == generation_id
        ]
        return sorted(found, key=lambda pair: pair[1].answered_at)

    async def owner(self, generation_id: str, attempt: int = 1) -> WorkerProcess:
        """The worker that made this attempt."""

        def taken() -> WorkerProcess | None:
            takes = self.takes(generation_id)
            return takes[attempt - 1][0] if len(takes) >= attempt else None

        return await until(taken, START_S, f"attempt {attempt} of {generation_id}")

    def catch(self, matches: Callable[[Command], bool], *, after: bool = False) -> "Catch":
        """Hold the first command of any worker that matches, before Redis has it or after it answered."""
        return Catch({worker: self.link(worker).tap.trap(matches, after=after) for worker in self.workers})

    async def asked(self, model: str) -> list[dict[str, Any]]:
        """The provider's record of one generation's requests."""
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
