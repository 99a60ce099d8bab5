"""Owns the way to the nodes of a Redis Cluster: each command to whoever serves its key.

For what has its answer at once; blocking reads have connections of their own (`plane.py`). Made of
our clients of one server. redis-py's own cluster client asks COMMAND GETKEYS before every XREAD,
refuses instead of waiting when its connections are busy, and gives up a whole pipeline when one of
its nodes is away. Knows nothing of generations.
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
_LEARN_EVERY_S: Final = 0.1
"""At most so often are nodes asked for the slots, however many commands went astray."""
_LEARN_S: Final = 1.0
_NODE_CONNECTIONS: Final = 32


class Command(NamedTuple):
    """One command and where redis-py wants its options."""

    words: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def slot(self) -> int:
        """Of its first key: all of ours that have several keep them in one slot."""
        return slot_of(self.words[3 if self.words[0] == "EVALSHA" else 1])


class Cluster(AsyncCoreCommands):
    """Speaks like redis-py's client of one server; every command needs a key."""

    connection_pool: Any = None  # redis-py's commands want to know of one; none of ours does

    def __init__(self, address: Address) -> None:
        self._address = address
        self._slots = Slots()
        self._silences = Silences()
        self._stale = False
        self._clients: dict[Host, Redis] = {}
        self._learning = asyncio.Lock()
        self._learned_at = float("-inf")

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """One command at the node that owns its key."""
        (reply,) = await self.send([Command(words, options)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        """Like redis-py's, but each node has a part of its own: a transaction there is not."""
        assert not transaction
        return ClusterPipeline(self)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; what was refused, or did not arrive, is an exception in its place.

        What went astray is sent again after a look at the slots. Everything of ours may be repeated. Not
        what waited for its answer in vain: the others' would wait for that again, and leases with them.
        """
        if self._stale:
            self._stale = False
            await self.learn()
        replies: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for turn in range(_TRIES):
            if turn:
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
            left = [i for i in left if _is_astray(replies[i])]
            if not left:
                break
        self._stale = any(isinstance(reply, redis_errors.TimeoutError) for reply in replies)
        return replies

    def silent_s(self, key: str) -> float | None:
        """How long ago the node of this key last did not answer; None if it always did."""
        at = self._silences.latest(slot_of(key))
        return None if at is None else asyncio.get_running_loop().time() - at

    async def owner(self, slot: int) -> Host:
        """The node that serves this slot, as far as we know."""
        if self._slots.owner(slot) is None:
            await self.learn()
        owner = self._slots.owner(slot)
        if owner is None:
            raise redis_errors.ConnectionError(f"No node serves slot {slot}")
        return owner

    async def learn(self) -> None:
        """Ask a node who serves what. Whoever needs it at the same time shares one answer."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._learning:
            if self._learned_at >= asked_at:
                return
            await asyncio.sleep(self._learned_at + _LEARN_EVERY_S - loop.time())
            known = [*self._slots.nodes]
            # In any order: a node that was cut off from the others tells what was true before.
            random.shuffle(known)
            for host in dict.fromkeys([*known, *self._address.hosts]):
                began = loop.time()
                try:
                    async with asyncio.timeout(_LEARN_S):
                        reply = await self.client(host).execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                except (redis_errors.RedisError, OSError):
                    continue
                self._slots = Slots.of(reply, host)
                self._learned_at = began
                await self._forget_others()
                return
        raise redis_errors.ConnectionError("No node of the cluster answers")

    def client(self, host: Host) -> Redis:
        """Of one node. Without hidden retries: the node may be the wrong one by then."""
        if host not in self._clients:
            self._clients[host] = connect(self._url_of(host), connections=_NODE_CONNECTIONS, retries=0)
        return self._clients[host]

    async def primaries(self) -> list[Redis]:
        """All nodes that serve slots."""
        await self.learn()
        return [self.client(host) for host in sorted(self._slots.owners)]

    async def ping(self, **_: Any) -> bool:
        """Ask all primaries; one that answers is enough."""
        await self.learn()
        hosts = sorted(self._slots.owners)
        found = await asyncio.gather(*(self._at(host, [Command(("PING",), {})]) for host in hosts))
        errors = [reply for (reply,) in found if isinstance(reply, Exception)]
        if errors and len(errors) == len(hosts):
            raise errors[0]
        return True

    async def script_load(self, script: Any) -> Any:
        """At all primaries; one that is away will be asked again by whoever needs it there."""
        loading = (one.script_load(script) for one in await self.primaries())
        return await asyncio.gather(*loading, return_exceptions=True)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def _send_part(self, host: Host, commands: Sequence[Command], part: list[int], replies: list[Any]) -> None:
        found = await self._at(host, [commands[i] for i in part])
        for i, reply in zip(part, found, strict=True):
            match redirection(reply, host):
                case Redirection(elsewhere, once=True):
                    _, replies[i] = await self._at(elsewhere, [Command(("ASKING",), {}), commands[i]])
                case Redirection(elsewhere, once=False):
                    # Known at once, before another node's answer to CLUSTER SLOTS says so too.
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
        """Nodes that left: on some clusters every new one has a new address."""
        for host in self._clients.keys() - self._slots.nodes - set(self._address.hosts):
            await self._clients.pop(host).aclose()

    def _url_of(self, host: Host) -> str:
        parts = urlsplit(self._address.url)
        name = f"[{host[0]}]" if ":" in host[0] else host[0]
        login = parts.netloc.rpartition("@")[:2]
        return urlunsplit(parts._replace(netloc=f"{''.join(login)}{name}:{host[1]}"))


Client = Redis | Cluster
"""For short commands on the log plane, whatever it stands on."""


class ClusterPipeline(AsyncCoreCommands):
    """Commands gathered and then sent, one part to each node, all at the same time."""

    connection_pool: Any = None  # as above

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._commands: list[Command] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def execute_command(self, *words: Any, **options: Any) -> Self:
        """One more, sent with the others."""
        self._commands.append(Command(words, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """All replies in order. Raises when nothing arrived anywhere, as redis-py's does."""
        if not self._commands:
            return []
        replies = await self._cluster.send(self._commands)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        away = len(errors) == len(replies) and all(_is_away(error) for error in errors)
        if errors and (raise_on_error or away):
            raise errors[0]
        return replies


def _is_astray(reply: Any) -> bool:
    """Whether another node may answer it, now."""
    if isinstance(reply, redis_errors.TimeoutError):
        return False
    return isinstance(reply, Exception) and (_is_away(reply) or str(reply).startswith(("MOVED ", "CLUSTERDOWN")))


def _is_away(error: Exception) -> bool:
    return isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError)
