"""Owns how we connect to Redis, and the translation of redis-py's failures into ours.

The only file that knows connection options. Knows nothing of generations.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

from outlive.shared.errors import LogFull, LogUnavailable
from outlive.shared.redis_url import Address, Host, Kind, parse
from outlive.shared.store.redis_py_patches import PATCHED, RELOCATING, FindServer, Pool

BLOCK_S: Final = 5.0
"""The longest time that a command may wait at the server."""

_REPLY_TIMEOUT_S: Final = 5.0
_CONNECT_S: Final = 2.0
_SENTINEL_S: Final = 1.0

# redis-py repeats a command after these. All our writes are idempotent. `OSError`, because redis-py's own retry ignores
# the builtin ConnectionRefusedError of a restarting server. A command that timed out is not repeated: a server that
# hung kept every caller for 20 s, and 5 s are long enough.
_RETRIED: Final[list[Any]] = [redis_errors.ConnectionError, OSError]

# The first word of an error from a server that cannot serve now; every other word is our mistake. UNBLOCKED: the server
# ended a blocking read because it has just become a replica. ASK, MOVED and TRYAGAIN: a slot is moving, and we have
# tried often enough.
_UNAVAILABLE: Final = frozenset({
    "ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM", "NOREPLICAS",
    "READONLY", "TRYAGAIN", "UNBLOCKED", "WRONGPASS",
})  # fmt: skip


failures: Final[Counter[str]] = Counter()
"""How often each kind of failure reached this process, after redis-py's own retries. Counted here because all of them
pass here; `telemetry/metrics.py` publishes the counts."""


def connect(url: str, *, connections: int = 32, retries: int = 3) -> Redis:
    """A client for short commands. When all its connections are busy, callers queue."""
    return Redis.from_pool(pool(url, connections=connections, retries=retries))


def connect_blocking(url: str, *, find: FindServer | None = None) -> Redis:
    """A client for one blocking command at a time, on one connection, without hidden retries: its user must notice a
    reconnect, because the server may be another one since."""
    connections = pool(url, connections=1, reply_timeout_s=BLOCK_S + _REPLY_TIMEOUT_S, retries=0, find=find)
    connections.reports_loss = True
    return Redis.from_pool(connections)


def pool(
    url: str,
    *,
    connections: int = 32,
    reply_timeout_s: float = _REPLY_TIMEOUT_S,
    retries: int = 3,
    find: FindServer | None = None,
) -> Pool:
    """The connections behind a client, for a library that makes its own client (arq). With `find` each connection asks
    it for the server when it connects."""
    address = parse(url)
    if address.kind is Kind.SENTINEL:
        find = partial(_ask_sentinels, address)
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": _REPLY_TIMEOUT_S,
        "socket_timeout": reply_timeout_s,
        "socket_connect_timeout": _CONNECT_S,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries, supported_errors=tuple(_RETRIED)),
    }
    if retries:
        options["retry_on_error"] = _RETRIED
    if not address.url.startswith("unix:"):
        options["socket_keepalive"] = True
    connection_pool = Pool.from_url(address.url, **options)
    connection_pool.connection_class = (RELOCATING if find else PATCHED)[connection_pool.connection_class]
    if find:
        connection_pool.connection_kwargs["find"] = find
    return connection_pool


async def _ask_sentinels(address: Address, _again: bool) -> Host:
    """The primary, as the first Sentinel that replies knows it. Connections to Sentinels are not kept, because we ask
    only when a server was lost."""
    username, password = address.sentinel_login
    # redis-py has no types for this class.
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs={
            "username": username,
            "password": password,
            "socket_timeout": _SENTINEL_S,
            "socket_connect_timeout": _SENTINEL_S,
        },
    )
    try:
        host, port = await sentinels.discover_master(address.service)
    finally:
        for sentinel in sentinels.sentinels:
            await sentinel.aclose()
    return host, port


class Pipe(Protocol):
    """A pipeline, to one server or to the nodes of a cluster."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]: ...


async def replies_of(pipe: Pipe) -> list[Any]:
    """Run a pipeline. Raises the first error as the server sent it: redis-py would put text before it, and `translate`
    reads its first word."""
    replies = await pipe.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


@contextmanager
def translated() -> Iterator[None]:
    """Raise redis-py's failures as `LogUnavailable` or `LogFull`. An error that our own mistake caused passes as it
    is."""
    try:
        yield
    except (redis_errors.RedisError, OSError) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def translate(error: BaseException) -> LogUnavailable | None:
    """Our exception for one failure of redis-py, counted; None when our own mistake caused it."""
    kind = _kind_of(error)
    if kind is None:
        return None
    failures[kind] += 1
    return LogFull() if kind == "full" else LogUnavailable()


def _kind_of(error: BaseException) -> str | None:
    match error:
        case redis_errors.OutOfMemoryError():
            return "full"
        case redis_errors.NoScriptError():
            # The server was replaced between loading the script and running it.
            return "noscript"
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
