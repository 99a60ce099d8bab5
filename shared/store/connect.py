"""Owns how we connect to Redis, and the translation of its failures into ours.

The only place that knows connection options. Knows nothing of generations.
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
from outlive.shared.store.redis_py_patches import CANCELLABLE, LOCATED, Find, Pool

BLOCK_S: Final = 5.0
"""The longest blocking read. Finite, because BLOCK does not wake when a key expires or is deleted:
whoever waits looks at meta at least this often."""

_ANSWER_S: Final = 5.0
_CONNECT_S: Final = 2.0
_SENTINEL_S: Final = 1.0

# `OSError` because redis-py lets the builtin ConnectionRefusedError of a restarting server through
# its own retry untouched. Every write of ours may be repeated: the scripts are idempotent. Not what has
# waited for its answer in vain: a server that hangs kept every caller for 20 s, and 5 s are long enough.
_PASSING: Final[list[Any]] = [redis_errors.ConnectionError, OSError]

# A server that cannot serve now says so with one of these words; anything else is our mistake.
# UNBLOCKED: a blocking read was ended because the server has just become a replica. ASK, MOVED and
# TRYAGAIN: a slot is being moved, and we asked more often than it is worth. NOSCRIPT: the server was
# replaced between loading a script and running it.
_UNAVAILABLE: Final = frozenset({
    "ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM", "NOREPLICAS",
    "READONLY", "TRYAGAIN", "UNBLOCKED", "WRONGPASS",
})  # fmt: skip


failures: Final[Counter[str]] = Counter()
"""How often each kind of failure reached this process, after the client's own repetitions. Only counted
here, where all are seen: it is for the measures to tell."""


def connect(url: str, *, connections: int = 32, retries: int = 3) -> Redis:
    """A client for short commands. When all its connections are busy, callers wait their turn."""
    return Redis.from_pool(pool(url, connections=connections, retries=retries))


def connect_blocking(url: str, *, find: Find | None = None) -> Redis:
    """A client for one blocking read at a time, on one connection, without hidden retries: whoever
    reads must notice a reconnect, because the server may be another one since."""
    made = pool(url, connections=1, answer_s=BLOCK_S + _ANSWER_S, retries=0, find=find)
    made.tells_of_loss = True
    return Redis.from_pool(made)


def pool(
    url: str, *, connections: int = 32, answer_s: float = _ANSWER_S, retries: int = 3, find: Find | None = None
) -> Pool:
    """The connections behind a client, for a library that makes its own client (arq). With `find`
    each looks for its server when it connects."""
    address = parse(url)
    if address.kind is Kind.SENTINEL:
        find = partial(_ask_sentinels, address)
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": _ANSWER_S,
        "socket_timeout": answer_s,
        "socket_connect_timeout": _CONNECT_S,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries, supported_errors=tuple(_PASSING)),
    }
    if retries:
        options["retry_on_error"] = _PASSING
    if not address.url.startswith("unix:"):
        options["socket_keepalive"] = True
    made = Pool.from_url(address.url, **options)
    made.connection_class = (LOCATED if find else CANCELLABLE)[made.connection_class]
    if find:
        made.connection_kwargs["find"] = find
    return made


async def _ask_sentinels(address: Address, _again: bool) -> Host:
    """The primary as the first Sentinel that answers knows it. Connections to Sentinels are not kept:
    they are asked when a server was lost, not more."""
    username, password = address.sentinel_login
    # redis-py leaves this class without types.
    asked = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs={
            "username": username,
            "password": password,
            "socket_timeout": _SENTINEL_S,
            "socket_connect_timeout": _SENTINEL_S,
        },
    )
    try:
        host, port = await asked.discover_master(address.service)
    finally:
        for sentinel in asked.sentinels:
            await sentinel.aclose()
    return host, port


class Pipe(Protocol):
    """A pipeline, to one server or to the nodes of a cluster."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]: ...


async def replies_of(pipe: Pipe) -> list[Any]:
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
        case redis_errors.NoScriptError():
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
