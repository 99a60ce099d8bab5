"""Owns our changes to redis-py's connections: cancelling, packing, repeating, reuse, and finding the server.

Knows no options and no commands; `connect.py` uses these classes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from outlive.shared.redis_url import Host

FindServer = Callable[[bool], Awaitable[Host]]
"""Where the server is now. The argument is True when the last reply has proved wrong, so cached knowledge must not be
used."""

_REDIRECTIONS: Final = ("MOVED ", "ASK ")
_ONCE: Final = Retry(NoBackoff(), 0)


class _Patched(AbstractConnection):
    """Sends without `asyncio.wait_for`. On Python 3.11 that swallows a cancellation which arrives as the send ends: a
    loop of PINGs lost one cancellation in twenty, and a service that misses its cancellation keeps its process from
    ending. Python 3.12 fixed it.

    hiredis packs the commands, as in redis-py's own synchronous connections: a read of 500 logs takes 80 us instead of
    670, an append of 64 attempts 60 us instead of 350."""

    async def connect(self) -> None:
        """Connect, without retries. The command is retried and connects again each time; redis-py would retry both, one
        inside the other, and try a server that is away sixteen times."""
        retry, self.retry = self.retry, _ONCE
        try:
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        except redis_errors.ConnectionError as error:
            # To redis-py a wrong password is a ConnectionError, and on a Unix socket one wrapped in another. The server
            # would refuse it again, so it must not be retried.
            if isinstance(error.__cause__ or error, redis_errors.AuthenticationError):
                raise redis_errors.ResponseError(f"WRONGPASS {error}") from error
            raise
        finally:
            self.retry = retry

    def is_clean(self) -> bool:
        """Whether no old reply is left, so the next reply must belong to the next command. This knows only the bytes
        that have arrived; if the connection ends later, the next command fails. redis-py waits one iteration of the
        loop for them, 50 us of an idle process, and a first token takes a dozen commands."""
        if self._reader is None or self._reader.at_eof() or self._reader.exception() is not None:
            return False
        stream: Any = self._reader
        parser: Any = self._parser
        return not stream._buffer and not parser._reader.has_data()

    def pack_command(self, *args: Any) -> list[bytes]:
        """redis-py's method, on hiredis."""
        # The server wants a name of two words, as in `CONFIG GET`, as two.
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """redis-py's method, on hiredis."""
        return [b"".join(packed for command in commands for packed in self.pack_command(*command))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """redis-py's method, cancellable. Raises its TimeoutError and ConnectionError."""
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError as error:
            raise redis_errors.TimeoutError("Timeout writing to socket") from error
        except RuntimeError as error:
            # uvloop raises this for a transport that was just reset; redis-py has disconnected by then. While it is
            # still connected, the mistake is ours.
            if self.is_connected:
                raise
            raise redis_errors.ConnectionError("Connection lost before writing") from error
        finally:
            self.socket_timeout = limit_s


class _Relocating(_Patched):
    """Asks for its server each time it connects. When a server replies that it is the wrong one now (a demoted primary,
    a node whose slot moved), this disconnects, so that the next command goes to the right one."""

    def __init__(self, *, find: FindServer, **options: Any) -> None:
        super().__init__(**options)
        self._find = find
        self._has_asked = False

    async def _connect(self) -> None:
        self.host, self.port = await self._find(self._has_asked)
        self._has_asked = True
        await super()._connect()  # type: ignore[no-untyped-call,safe-super]  # the sibling base class has it, without types

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """redis-py's method. Raises its ConnectionError after a redirection."""
        try:
            return await super().read_response(*args, **options)
        except redis_errors.ResponseError as error:
            if isinstance(error, redis_errors.ReadOnlyError) or str(error).startswith(_REDIRECTIONS):
                await self.disconnect(nowait=True)
                raise redis_errors.ConnectionError("Another server has this role now; reconnect to find it") from error
            raise


class Pool(BlockingConnectionPool):
    """Returns connections that may not be connected yet: the command connects. redis-py connects them first, outside
    the retries of a command, so a server that was lost during its greeting failed the command however many retries were
    left."""

    reports_loss = False
    """Whether a connection that was lost while idle fails the next command, instead of reconnecting silently."""

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """redis-py's method. Raises its ConnectionError after a loss, with `reports_loss`."""
        if not connection.is_connected or cast(_Patched, connection).is_clean():
            return
        await connection.disconnect(nowait=True)
        if self.reports_loss:
            raise redis_errors.ConnectionError("The connection was lost while it was idle")


class _Tcp(_Patched, Connection):
    pass


class _Tls(_Patched, SSLConnection):
    pass


class _Unix(_Patched, UnixDomainSocketConnection):
    pass


class _RelocatingTcp(_Relocating, Connection):
    pass


class _RelocatingTls(_Relocating, SSLConnection):
    pass


PATCHED: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}
"""Our connection class for each of redis-py's."""

RELOCATING: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _RelocatingTcp,
    SSLConnection: _RelocatingTls,
}
"""The same, for servers that must be found: the primary of Sentinels, a node of a cluster."""
