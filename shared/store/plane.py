"""Owns the two planes as a process holds them: the servers of the logs, and the queue's.

Only this file knows whether the logs are on one server (or what Sentinels name as that) or on a cluster. All
others see groups: the keys of one group are always on one server, so one command may touch several of them,
and they are away together. One server is one group; on a cluster each partition is one.
"""

from functools import partial
from typing import Protocol

from redis.asyncio import Redis

from outlive.shared.redis_url import Host, Kind, parse
from outlive.shared.settings import Settings
from outlive.shared.store.cluster import Client, Cluster
from outlive.shared.store.connect import connect, connect_blocking, translated
from outlive.shared.store.slots import slot_of


class Groups(Protocol):
    """How the logs are divided over servers."""

    def of(self, key: str) -> str:
        """The group of a key of the log plane."""

    def silent_s(self, key: str) -> float | None:
        """How many seconds ago the server of this key's group last failed to reply, though a repetition may
        have hidden that since. None: never, or the client does not tell."""


class LogPlane(Protocol):
    """Where the logs are."""

    @property
    def client(self) -> Redis | Cluster:
        """For short commands."""

    def group_of(self, key: str) -> str:
        """The group of a key: one blocking command may read all keys of one group."""

    def blocking(self, key: str) -> Redis:
        """A new client for blocking reads of this key's group. The caller must close it."""

    async def unblock(self, key: str, client_id: int) -> None:
        """End the read of this group that waits on connection `client_id`. Raises `LogUnavailable`."""

    async def servers(self) -> list[Redis]:
        """A client of each server that is written to. Raises `LogUnavailable`."""

    async def aclose(self) -> None: ...


class _OneGroup:
    """One server has everything. Its silences are seen by whoever waits for it: the client hides none."""

    def of(self, _key: str) -> str:
        return ""

    def silent_s(self, _key: str) -> float | None:
        return None


class _GroupPerPartition:
    """On a cluster. Not one group per node, because partitions move one by one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def of(self, key: str) -> str:
        return _partition_tag(key)

    def silent_s(self, key: str) -> float | None:
        return self._cluster.silent_s(key)


def groups_of(client: Client) -> Groups:
    """The groups of the plane that this client is for."""
    return _GroupPerPartition(client) if isinstance(client, Cluster) else _OneGroup()


class OneServer:
    """All logs on one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.client: Redis = connect(url)

    def group_of(self, _key: str) -> str:
        return ""

    def blocking(self, _key: str) -> Redis:
        return connect_blocking(self._url)

    async def unblock(self, _key: str, client_id: int) -> None:
        with translated():
            await self.client.client_unblock(client_id)

    async def servers(self) -> list[Redis]:
        return [self.client]

    async def aclose(self) -> None:
        await self.client.aclose()


class Nodes:
    """The logs spread over a cluster by partition."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.client = Cluster(parse(url))

    def group_of(self, key: str) -> str:
        return _partition_tag(key)

    def blocking(self, key: str) -> Redis:
        return connect_blocking(self._url, find=partial(self._find, slot_of(key)))

    async def unblock(self, key: str, client_id: int) -> None:
        with translated():
            host = await self.client.owner(slot_of(key))
            await self.client.client(host).client_unblock(client_id)

    async def servers(self) -> list[Redis]:
        with translated():
            return await self.client.primaries()

    async def aclose(self) -> None:
        await self.client.aclose()

    async def _find(self, slot: int, again: bool) -> Host:
        if again:
            await self.client.learn()
        return await self.client.owner(slot)


class Planes:
    """Both planes of one process. If one server carries both, they share its client."""

    def __init__(self, settings: Settings) -> None:
        self.log = open_log_plane(settings.log_plane_url)
        self._apart = settings.log_plane_url != settings.redis_url
        client = self.log.client
        self.queue: Redis = client if isinstance(client, Redis) and not self._apart else connect(settings.redis_url)

    async def servers(self) -> list[Redis]:
        """A client of each server that is written to. Raises `LogUnavailable`."""
        return [*await self.log.servers(), *([self.queue] if self._apart else [])]

    async def ping(self) -> None:
        """Check that both planes reply. One primary of a cluster is enough, because its logs go on.
        Raises `LogUnavailable`."""
        with translated():
            await self.log.client.ping()
            if self._apart:
                await self.queue.ping()

    async def aclose(self) -> None:
        await self.log.aclose()
        if self._apart:
            await self.queue.aclose()


def open_log_plane(url: str) -> LogPlane:
    """The plane at this URL; nothing is connected yet."""
    return Nodes(url) if parse(url).kind is Kind.CLUSTER else OneServer(url)


def _partition_tag(key: str) -> str:
    return key[key.index("{") + 1 : key.index("}")]
