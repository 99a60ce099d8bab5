"""Owns sending commands to a Redis Cluster: each command to the node that serves its key.

For commands that get their reply at once; subscriptions have connections of their own (`channels.py`). It uses our
clients of single servers. redis-py's own cluster client refuses instead of waiting when its connections are busy, and
gives up a whole pipeline when one of its nodes is away. Knows nothing of generations.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.commands import AsyncCoreCommands

from outlive.shared.redis_url import Address, Host
from outlive.shared.store.connect import connect
from outlive.shared.store.slots import Redirection, Silences, Slots, redirection, slot_of

_TRIES: Final = 3
_LEARN_INTERVAL_S: Final = 0.1
"""Minimum time between two CLUSTER SLOTS, however many commands went to the wrong node."""
_LEARN_TIMEOUT_S: Final = 1.0
_NODE_CONNECTIONS: Final = 32


class Command(NamedTuple):
    """One command, and the options redis-py needs to read its reply."""

    words: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def slot(self) -> int:
        """The slot of its first key: our commands with several keys have all of them in one slot."""
        return slot_of(self.words[3 if self.words[0] == "EVALSHA" else 1])


class Cluster(AsyncCoreCommands):
    """Has the commands of redis-py's client of one server; every command needs a key."""

    connection_pool: Any = None  # an attribute that redis-py's commands expect; ours do not use it

    def __init__(self, address: Address) -> None:
        self._address = address
        self._slots = Slots()
        self._silences = Silences()
        self._stale = False
        self._clients: dict[Host, Redis] = {}
        self._learning = asyncio.Lock()
        self._learned_at = float("-inf")

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """Send one command to the node that owns its key."""
        (reply,) = await self.send([Command(words, options)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        """Like redis-py's, but each node gets its own part, so transactions are not possible."""
        assert not transaction
        return ClusterPipeline(self)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order. An exception takes the place of a reply that a node refused, or that never came.

        All our commands are idempotent, so strays are resent after CLUSTER SLOTS. Commands that timed out are not: a
        second wait would delay the other nodes' replies past their leases.
        """
        if self._stale:
            self._stale = False
            await self.learn()
        replies: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for retries in range(_TRIES):
            if retries:
                await self.learn()
            parts: dict[Host, list[int]] = {}
            for i in left:
                parts.setdefault(await self.owner(commands[i].slot), []).append(i)
            if len(parts) == 1:
                ((host, part),) = parts.items()
                await self._send_part(host, commands, part, replies)
            else:
                async with asyncio.TaskGroup() as tasks:
                    for host, part in parts.items():
                        tasks.create_task(self._send_part(host, commands, part, replies))
            left = [i for i in left if is_stray(replies[i])]
            if not left:
                break
        self._stale = any(isinstance(reply, redis_errors.TimeoutError) for reply in replies)
        return replies

    def silent_s(self, key: str) -> float | None:
        """How long ago the node of this key last failed to reply; None if it never did."""
        at = self._silences.latest(slot_of(key))
        return None if at is None else asyncio.get_running_loop().time() - at

    def known_owner(self, slot: int) -> Host | None:
        """The node that serves this slot, as far as we know; None when none does."""
        return self._slots.owner(slot)

    async def owner(self, slot: int) -> Host:
        """The node that serves this slot, as far as we know. Raises redis-py's ConnectionError when no node does."""
        if self._slots.owner(slot) is None:
            await self.learn()
        owner = self._slots.owner(slot)
        if owner is None:
            raise redis_errors.ConnectionError(f"No node of the cluster serves slot {slot}")
        return owner

    async def learn(self) -> None:
        """Ask a node for the slots of all. Concurrent callers share one reply. Raises redis-py's ConnectionError."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._learning:
            if self._learned_at >= asked_at:
                return
            await asyncio.sleep(self._learned_at + _LEARN_INTERVAL_S - loop.time())
            known = [*self._slots.nodes]
            # In random order: a node that is cut off from the others reports an old state.
            random.shuffle(known)
            for host in dict.fromkeys([*known, *self._address.hosts]):
                began = loop.time()
                try:
                    async with asyncio.timeout(_LEARN_TIMEOUT_S):
                        reply = await self.client(host).execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                except (redis_errors.RedisError, OSError):
                    continue
                self._slots = Slots.of(reply, host)
                self._learned_at = began
                await self._forget_others()
                return
        raise redis_errors.ConnectionError("No node of the cluster replies")

    def client(self, host: Host) -> Redis:
        """The client of one node. It does not retry: the node may be the wrong one by then."""
        if host not in self._clients:
            self._clients[host] = connect(self.url_of(host), connections=_NODE_CONNECTIONS, retries=0)
        return self._clients[host]

    async def primaries(self) -> list[Redis]:
        """A client of each node that serves slots."""
        await self.learn()
        return [self.client(host) for host in sorted(self._slots.owners)]

    async def ping(self, **_: Any) -> bool:
        """Ask all primaries; one that replies is enough."""
        await self.learn()
        hosts = sorted(self._slots.owners)
        replies = await asyncio.gather(*(self._at(host, [Command(("PING",), {})]) for host in hosts))
        errors = [reply for (reply,) in replies if isinstance(reply, Exception)]
        if errors and len(errors) == len(hosts):
            raise errors[0]
        return True

    async def script_load(self, script: Any) -> Any:
        """Load the script at all primaries. If one is away, the next caller that needs the script there loads it."""
        loading = (primary.script_load(script) for primary in await self.primaries())
        return await asyncio.gather(*loading, return_exceptions=True)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def _send_part(self, host: Host, commands: Sequence[Command], part: list[int], replies: list[Any]) -> None:
        of_host = await self._at(host, [commands[i] for i in part])
        for i, reply in zip(part, of_host, strict=True):
            match redirection(reply, host):
                case Redirection(elsewhere, once=True):
                    _, replies[i] = await self._at(elsewhere, [Command(("ASKING",), {}), commands[i]])
                case Redirection(elsewhere, once=False):
                    # Known at once, before another node's reply to CLUSTER SLOTS has it too.
                    self._slots.moved[commands[i].slot] = elsewhere
                    replies[i] = reply
                case None:
                    replies[i] = reply

    async def _at(self, host: Host, commands: Sequence[Command]) -> list[Any]:
        try:
            async with self.client(host).pipeline(transaction=False) as pipe:
                for words, options in commands:
                    pipe.execute_command(*words, **options)
                return await pipe.execute(raise_on_error=False)
        except (redis_errors.RedisError, OSError) as error:
            self._silences.note(self._slots, host, asyncio.get_running_loop().time())
            return [error] * len(commands)

    async def _forget_others(self) -> None:
        """Close the clients of nodes that left: on some clusters every new node has a new address."""
        for host in self._clients.keys() - self._slots.nodes - set(self._address.hosts):
            await self._clients.pop(host).aclose()

    def url_of(self, host: Host) -> str:
        """The URL of one node, with our user and password."""
        parts = urlsplit(self._address.url)
        name = f"[{host[0]}]" if ":" in host[0] else host[0]
        login = parts.netloc.rpartition("@")[:2]
        return urlunsplit(parts._replace(netloc=f"{''.join(login)}{name}:{host[1]}"))


Client = Redis | Cluster
"""For short commands on the log plane, on one server or a cluster."""


class ClusterPipeline(AsyncCoreCommands):
    """Collects commands, then sends each node its part, all at the same time."""

    connection_pool: Any = None  # as above

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._commands: list[Command] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def execute_command(self, *words: Any, **options: Any) -> Self:
        """Add one command; `execute` sends it with the others."""
        self._commands.append(Command(words, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """All replies in order. Raises when no node replied at all, as redis-py's does."""
        if not self._commands:
            return []
        replies = await self._cluster.send(self._commands)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        no_reply = len(errors) == len(replies) and all(is_away(error) for error in errors)
        if errors and (raise_on_error or no_reply):
            raise errors[0]
        return replies


def is_stray(reply: Any) -> bool:
    """Whether to send the command of this reply again, because another node may serve it now."""
    if isinstance(reply, redis_errors.TimeoutError):
        return False
    return isinstance(reply, Exception) and (is_away(reply) or str(reply).startswith(("MOVED ", "CLUSTERDOWN")))


def is_away(error: Exception) -> bool:
    """Whether the node did not reply, rather than refuse."""
    return isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError)
