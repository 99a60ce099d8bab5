"""Owns what we change in redis-py's connections: cancelling, packing, repeating, reuse, and finding the server.

Knows no options and no commands; `connect.py` puts these to use.
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

Find = Callable[[bool], Awaitable[Host]]
"""Where the server is now. The argument: what was said before does not hold, so ask again."""

_ELSEWHERE: Final = ("MOVED ", "ASK ")
_ONCE: Final = Retry(NoBackoff(), 0)


class _Cancellable(AbstractConnection):
    """Sends without `asyncio.wait_for`, which on Python 3.11 returns as if nothing had happened when
    the send ends just as its task is cancelled: one in twenty cancellations was lost in a loop of
    PINGs, and a service that is never cancelled keeps its process from ending. 3.12 mended it.

    Commands are packed by hiredis, as redis-py's own synchronous connections do: a read of 500 logs takes
    80 us and not 670, an append of 64 attempts 60 and not 350."""

    async def connect(self) -> None:
        """Once. The command that needs it is repeated, and connecting with it; redis-py would repeat the one
        within the other, and ask a server that is away sixteen times."""
        retry, self.retry = self.retry, _ONCE
        try:
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it without types
        except redis_errors.ConnectionError as error:
            # A refused password is one of these to redis-py, on a Unix socket wrapped in another. It would be
            # refused again.
            if isinstance(error.__cause__ or error, redis_errors.AuthenticationError):
                raise redis_errors.ResponseError(f"WRONGPASS {error}") from error
            raise
        finally:
            self.retry = retry

    def is_clean(self) -> bool:
        """Whether the next reply can only be the next command's. What has come by now is known; what comes
        later, such as the end, is found by the use itself. redis-py waits a turn of the loop for it, 50 us of a
        process that was idle, and a first token takes a dozen uses."""
        if self._reader is None or self._reader.at_eof() or self._reader.exception() is not None:
            return False
        stream: Any = self._reader
        parser: Any = self._parser
        return not stream._buffer and not parser._reader.has_data()

    def pack_command(self, *args: Any) -> list[bytes]:
        # A name of two words, as in `CONFIG GET`, is two to the server.
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(packed for command in commands for packed in self.pack_command(*command))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError as error:
            raise redis_errors.TimeoutError("Timeout writing to socket") from error
        except RuntimeError as error:
            # uvloop's word for a transport that was reset just now. redis-py has disconnected by then;
            # while it is connected the mistake is ours.
            if self.is_connected:
                raise
            raise redis_errors.ConnectionError("Connection lost before writing") from error
        finally:
            self.socket_timeout = limit_s


class _Located(_Cancellable):
    """Finds its server each time it connects. A server that says it is not the one any more (a demoted
    primary, a node whose slot moved) is left, so that the next use finds the other."""

    def __init__(self, *, find: Find, **options: Any) -> None:
        super().__init__(**options)
        self._find = find
        self._found = False

    async def _connect(self) -> None:
        self.host, self.port = await self._find(self._found)
        self._found = True
        await super()._connect()  # type: ignore[no-untyped-call,safe-super]  # the class beside this one has it, without types

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except redis_errors.ResponseError as error:
            if isinstance(error, redis_errors.ReadOnlyError) or str(error).startswith(_ELSEWHERE):
                await self.disconnect(nowait=True)
                raise redis_errors.ConnectionError("The server is another one now") from error
            raise


class Pool(BlockingConnectionPool):
    """Hands over connections that may have to be made yet. redis-py makes them first, before any try of a
    command: a server lost in the middle of its greeting was lost for good, however many tries were left."""

    tells_of_loss = False
    """Whether a connection that was lost while nobody used it fails the next command, instead of being made
    anew without a word."""

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if not connection.is_connected or cast(_Cancellable, connection).is_clean():
            return
        await connection.disconnect(nowait=True)
        if self.tells_of_loss:
            raise redis_errors.ConnectionError("The connection was lost while nobody used it")


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


class _LocatedTcp(_Located, Connection):
    pass


class _LocatedTls(_Located, SSLConnection):
    pass


CANCELLABLE: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}
LOCATED: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _LocatedTcp,
    SSLConnection: _LocatedTls,
}
