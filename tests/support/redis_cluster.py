"""Owns a real Redis Cluster for one test: its nodes, which node owns a slot, and moving a slot.

Each primary has one replica. Knows nothing of what is stored.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tests.support.ports import claim_port, release_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

SLOTS: Final = 16_384
_WITHIN_S: Final = 30.0


class Node(RedisServer):
    """One server in cluster mode. Its bus has a claimed port too: the usual bus port, 10,000 higher, is in the
    range from which the kernel chooses ports."""

    def __init__(self, name: str, *, timeout_s: float, options: Sequence[str] = ()) -> None:
        self.bus_port = claim_port()
        mode = ["--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)]
        # Promote a replica even if it has not heard from its primary for long: a busy machine may be that slow.
        fit = ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"]
        timeout = ["--cluster-node-timeout", str(round(timeout_s * 1000))]
        super().__init__(tcp=True, options=[*mode, *fit, *timeout, *options], name=name)

    async def stop(self, within_s: float = 10.0) -> None:
        try:
            await super().stop(within_s)
        finally:
            release_port(self.bus_port)

    async def ask(self, *words: object) -> Any:
        """Send one command to this node; the reply is decoded to text."""
        async with Redis(host=self.host, port=self.port, decode_responses=True) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]


class RedisCluster:
    """Primaries, and one replica for each."""

    def __init__(self, *, primaries: int = 3, timeout_s: float = 1.0, options: Sequence[str] = ()) -> None:
        self.primaries = [Node(f"node-{i}", timeout_s=timeout_s, options=options) for i in range(primaries)]
        self.replicas = [Node(f"copy-{i}", timeout_s=timeout_s, options=options) for i in range(primaries)]

    @property
    def nodes(self) -> list[Node]:
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        """The address names two nodes of different primaries, because one may be dead."""
        return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes[1:3])

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(node.start() for node in self.nodes))
            await self._form()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def owner(self, slot: int) -> Node:
        """The node that serves this slot."""
        return next(node for first, last, node in await self._ranges() if first <= slot <= last)

    async def owners(self) -> list[Node]:
        """The nodes that serve slots."""
        return list(dict.fromkeys(node for _, _, node in await self._ranges()))

    async def kill_with_replica(self, primary: Node) -> None:
        """Kill both at once, so that no node can be promoted."""
        primary_id = await primary.ask("CLUSTER", "MYID")
        listings = await asyncio.gather(*(node.ask("CLUSTER", "NODES") for node in self.nodes))
        for node, listing in zip(self.nodes, listings, strict=True):
            (myself,) = (line for line in listing.splitlines() if "myself" in line)
            if myself.split()[3] == primary_id:
                node.kill()
        primary.kill()

    async def promoted(self, dead: Node) -> None:
        """Wait until other nodes serve all slots of the dead one."""

        async def replaced() -> bool:
            return dead not in await self.owners()

        await until(replaced, _WITHIN_S, f"a replica that replaces {dead.name}")

    async def _ranges(self) -> list[tuple[int, int, Node]]:
        """First and last slot and their owner, as any running node knows them."""
        running = next(node for node in self.nodes if node.running)
        by_port = {node.port: node for node in self.nodes}
        return [(first, last, by_port[server[1]]) for first, last, server, *_ in await running.ask("CLUSTER", "SLOTS")]

    async def repair(self) -> None:
        """Start every node again, and wait until every primary has its replica."""
        await asyncio.gather(*(node.start() for node in self.nodes if not node.running))
        await self._whole()

    async def move(self, slot: int, target: Node, *, between: Callable[[], Awaitable[None]]) -> None:
        """Move a slot key by key, as `redis-cli --cluster reshard` does; run `between` after half of the keys."""
        source = await self.owner(slot)
        source_id, target_id = [await node.ask("CLUSTER", "MYID") for node in (source, target)]
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        keys = await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100_000)
        for i, key in enumerate(keys):
            if i == len(keys) // 2:
                await between()
            await source.ask("MIGRATE", target.host, target.port, key, 0, 5000)
        for node in (target, source, *(one for one in self.nodes if one not in (source, target))):
            try:
                await node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
            except ResponseError as error:
                # Replicas refuse this; they learn it from their primaries.
                if "master" not in str(error) and "replica" not in str(error):
                    raise

    async def move_at_once(self, slot: int, target: Node) -> bool:
        """Move a slot as Valkey 9 does it. False if the server cannot."""
        source = await self.owner(slot)
        target_id = await target.ask("CLUSTER", "MYID")
        try:
            await source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id)
        except ResponseError as error:
            if "unknown" in str(error).lower():
                return False
            raise

        async def moved() -> bool:
            return await self.owner(slot) is target

        await until(moved, _WITHIN_S, f"slot {slot} moved")
        return True

    async def _form(self) -> None:
        for i, node in enumerate(self.nodes):
            # Two nodes with the same epoch would first have to agree which is newer.
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        first, *others = self.nodes
        bounds = [SLOTS * i // len(self.primaries) for i in range(len(self.primaries) + 1)]
        for node, start, end in zip(self.primaries, bounds, bounds[1:], strict=False):
            await node.ask("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        for node in others:
            await first.ask("CLUSTER", "MEET", node.host, node.port, node.bus_port)

        async def all_met() -> bool:
            listings = [await node.ask("CLUSTER", "NODES") for node in self.nodes]
            return all(len(lines.splitlines()) == len(self.nodes) and "handshake" not in lines for lines in listings)

        await until(all_met, _WITHIN_S, "all nodes have met", every_s=0.05)
        for primary, replica in zip(self.primaries, self.replicas, strict=True):
            await replica.ask("CLUSTER", "REPLICATE", await primary.ask("CLUSTER", "MYID"))
        await self._whole()

    async def _whole(self) -> None:
        async def whole() -> bool:
            try:
                infos = [await node.ask("CLUSTER", "INFO") for node in self.nodes]
                roles = [await node.ask("ROLE") for node in self.nodes]
            except (RedisError, OSError):
                return False
            copies = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
            return len(copies) == len(self.replicas) and all("cluster_state:ok" in info for info in infos)

        await until(whole, _WITHIN_S, "the cluster is whole", every_s=0.05)


@asynccontextmanager
async def running_cluster(**options: Any) -> AsyncIterator[RedisCluster]:
    """A cluster whose nodes all run and know each other."""
    async with RedisCluster(**options) as cluster:
        yield cluster
