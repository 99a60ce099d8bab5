"""Owns the two planes as a process holds them: the servers of the logs, and the queue's.

Only this file knows whether the logs are on one server (or what Sentinels name as that) or on a cluster. All
others see groups: the keys of one group are always on one server, so one command may touch several of them,
and they are away together. One server is one group; on a cluster each partition is one.
"""

from functools import partial
from typing import Final, Protocol

from redis.asyncio import Redis

from outlive.shared.redis_url import Host, Kind, parse
from outlive.shared.settings import Settings
from outlive.shared.store.channels import ChannelConnection
from outlive.shared.store.cluster import Client, Cluster
from outlive.shared.store.connect import connect, connect_blocking, pool, translated
from outlive.shared.store.slots import slot_of

_THE_SERVER: Final = ("", 0)
"""What `node_of` says where there is only one: Sentinels may name another host for it at any time."""


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
        """The group of a key."""

    def blocking(self, key: str) -> Redis:
        """A new client for blocking commands on this key's group. The caller must close it."""

    def node_of(self, key: str) -> Host | None:
        """The server whose channel of this key speaks, as far as we know; None when we know none."""

    def channels(self, node: Host) -> ChannelConnection:
        """A new connection, not open yet, to subscribe at this server."""

    async def learn(self) -> None:
        """Ask where the keys are now. Raises `LogUnavailable`."""

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

    def node_of(self, _key: str) -> Host | None:
        return _THE_SERVER

    def channels(self, _node: Host) -> ChannelConnection:
        return _channels(self._url)

    async def learn(self) -> None:
        """Nothing: the server, or its Sentinels, are asked when a connection is opened."""

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

    def node_of(self, key: str) -> Host | None:
        return self.client.known_owner(slot_of(key))

    def channels(self, node: Host) -> ChannelConnection:
        return _channels(self.client.url_of(node))

    async def learn(self) -> None:
        with translated():
            await self.client.learn()

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


def _channels(url: str) -> ChannelConnection:
    # Not from the pool: a connection that subscribes serves no other command.
    # redis-py has no types for this method.
    connection = pool(url, connections=1, retries=0).make_connection()  # type: ignore[no-untyped-call]
    return ChannelConnection(connection)


def _partition_tag(key: str) -> str:
    return key[key.index("{") + 1 : key.index("}")]
