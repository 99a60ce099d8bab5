"""Owns how we connect to Redis, and the translation of its failures into ours.

The only place that knows connection options. Knows nothing of generations.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from shared.errors import LogFull, LogUnavailable

BLOCK_S: Final = 5.0
"""The longest blocking read. Finite, because BLOCK does not wake when a key expires or is deleted:
whoever waits looks at meta at least this often."""

_ANSWER_S: Final = 5.0
_CONNECT_S: Final = 2.0

# `OSError` because redis-py lets the builtin ConnectionRefusedError of a restarting server through
# its own retry untouched. Every write of ours may be repeated: the scripts are idempotent.
_PASSING: Final[list[Any]] = [redis_errors.ConnectionError, redis_errors.TimeoutError, OSError]

# A server that cannot serve now says so with one of these words; anything else is our mistake.
# UNBLOCKED: a blocking read was ended because the server has just become a replica.
_UNAVAILABLE: Final = frozenset({
    "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "READONLY", "TRYAGAIN",
    "UNBLOCKED", "WRONGPASS",
})  # fmt: skip


failures: Final[Counter[str]] = Counter()
"""How often each kind of failure reached this process, after the client's own repetitions. Only counted
here, where all are seen: it is for the measures to tell."""


def connect(url: str, *, connections: int = 32) -> Redis:
    """A client for short commands. When all its connections are busy, callers wait their turn."""
    return Redis.from_pool(pool(url, connections=connections))


def connect_blocking(url: str) -> Redis:
    """A client for one blocking read at a time, on one connection, without hidden retries: whoever
    reads must notice a reconnect, because the server may be another one since."""
    return Redis.from_pool(pool(url, connections=1, answer_s=BLOCK_S + _ANSWER_S, retries=0))


def pool(url: str, *, connections: int = 32, answer_s: float = _ANSWER_S, retries: int = 3) -> BlockingConnectionPool:
    """The connections behind a client, for a library that makes its own client (arq)."""
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": _ANSWER_S,
        "socket_timeout": answer_s,
        "socket_connect_timeout": _CONNECT_S,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries, supported_errors=tuple(_PASSING)),
    }
    if retries:
        options["retry_on_error"] = _PASSING
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    made = BlockingConnectionPool.from_url(url, **options)
    made.connection_class = _CANCELLABLE[made.connection_class]
    return made


class _Cancellable(AbstractConnection):
    """Sends without `asyncio.wait_for`, which on Python 3.11 returns as if nothing had happened when
    the send ends just as its task is cancelled: one in twenty cancellations was lost in a loop of
    PINGs, and a service that is never cancelled keeps its process from ending. 3.12 mended it."""

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


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


_CANCELLABLE: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


async def replies_of(pipe: Pipeline) -> list[Any]:
    """Run a pipeline. Raises the first refusal as the server said it: redis-py would put words before
    it, and the one that tells what it is would not come first any more."""
    replies = await pipe.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


@contextmanager
def translated() -> Iterator[None]:
    """Raise redis-py's failures as `LogUnavailable` or `LogFull`; let our own mistakes through."""
    try:
        yield
    except (redis_errors.RedisError, OSError) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def translate(error: BaseException) -> LogUnavailable | None:
    """Our word for one failure of redis-py; None when it is a mistake of ours."""
    kind = _kind_of(error)
    if kind is None:
        return None
    failures[kind] += 1
    return LogFull() if kind == "full" else LogUnavailable()


def _kind_of(error: BaseException) -> str | None:
    match error:
        case redis_errors.OutOfMemoryError():
            return "full"
        case redis_errors.ReadOnlyError():
            return "readonly"
        case redis_errors.ClusterDownError():
            return "clusterdown"
        case redis_errors.ResponseError():
            word = str(error).partition(" ")[0]
            return "full" if word == "OOM" else word.lower() if word in _UNAVAILABLE else None
        case redis_errors.TimeoutError() | TimeoutError():
            return "timeout"
    return "connection"
