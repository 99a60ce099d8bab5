"""Owns one connection that subscribes to sharded channels, and what arrives on it.

redis-py has no sharded publish/subscribe for asyncio before version 8, so it only opens the connection (TLS, password,
Sentinels, relocation); from then on bytes are ours. RESP3, because there a subscriber may send any command. Knows
nothing of logs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from outlive.shared.store.connect import translated

_READ_BYTES: Final = 1 << 20
"""Per read, and about what is buffered here while a busy reader pauses. What is beyond that waits at Redis, whose limit
of a subscriber's output buffer closes the connection in the end."""

_PRIMARY: Final = b"master"


@dataclass(slots=True)
class Arrived:
    """What one read brought, in order within each list."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    """Channel and payload."""
    subscribed: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)
    """By our command, or by the server because the channel's slot has moved."""
    marks: list[int] = field(default_factory=list)
    """Marks that came back: what was sent before them has its reply."""
    roles: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Commands that were refused."""

    @property
    def is_primary(self) -> bool:
        """False once the server has said that it takes no writes now."""
        return all(role == _PRIMARY for role in self.roles)


def sort(replies: Iterable[Any]) -> Arrived:
    """Sort what a server sent, as hiredis reads it."""
    arrived = Arrived()
    for reply in replies:
        if isinstance(reply, hiredis.PushNotification):
            kind = reply[0]
            if kind == b"smessage":
                arrived.messages.append((reply[1].decode(), reply[2]))
            elif kind == b"ssubscribe":
                arrived.subscribed.append(reply[1].decode())
            elif kind == b"sunsubscribe" and reply[1] is not None:
                arrived.unsubscribed.append(reply[1].decode())
        elif isinstance(reply, bytes):
            arrived.marks.append(int(reply))
        elif isinstance(reply, dict):
            arrived.roles.append(reply.get(b"role", _PRIMARY))
        elif isinstance(reply, Exception):
            arrived.errors.append(str(reply))
    return arrived


class ChannelConnection:
    """`open`, then `receive` again and again. Every method but `close` raises `LogUnavailable`."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._replies: Any = hiredis.Reader()

    async def open(self) -> None:
        """Connect, and ask for the server's role."""
        with translated():
            await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py has no types for it
            # 64 kB, asyncio's default, would let a pause of 40 ms hold back a busy log plane.
            self._stream._limit = _READ_BYTES
        await self.ask_role()

    async def subscribe(self, channels: Iterable[str], leave: Iterable[str], mark: int) -> None:
        """Subscribe to these channels one by one (several slots in one command are refused), leave others, and let the
        mark come back behind all replies."""
        words = [("SSUBSCRIBE", channel) for channel in channels] + [("SUNSUBSCRIBE", channel) for channel in leave]
        await self._send([*words, ("PING", str(mark))])

    async def ask_role(self) -> None:
        """Let the server's role arrive. HELLO says it, and needs no rights that a subscriber lacks."""
        await self._send([("HELLO", "3")])

    async def receive(self) -> Arrived:
        """What has arrived, at least one byte of it."""
        with translated():
            data = await self._stream.read(_READ_BYTES)
            if not data:
                raise RedisConnectionError("The server closed the connection")
            replies = []
            try:
                self._replies.feed(data)
                while (reply := self._replies.gets()) is not False:
                    replies.append(reply)
            except hiredis.HiredisError as error:
                raise RedisConnectionError("What arrived is not RESP3") from error
        return sort(replies)

    def cut(self) -> None:
        """Close at once: `receive` raises."""
        if self._connection._writer is not None:
            self._connection._writer.transport.abort()

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)

    @property
    def _stream(self) -> Any:
        if self._connection._reader is None:
            raise RedisConnectionError("The connection is closed")
        return self._connection._reader

    async def _send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        with translated():
            packed = b"".join(hiredis.pack_command(words) for words in commands)
            await self._connection.send_packed_command([packed], check_health=False)
