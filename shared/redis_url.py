"""Owns the URLs that say where Redis is: one server, a set of Sentinels, or a cluster.

    redis://[user:password@]host[:6379][/db]         rediss:// the same with TLS
    unix:///path/to/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379],host,.../service[/db][?sentinel_password=...]
    redis+cluster://[user:password@]host[:6379],host,...

With TLS the last two begin with `rediss+`. A few nodes of a cluster are enough: they know the others. Options of
redis-py may follow as a query. Pure. An error message never repeats the URL, because it may hold a password.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

Host = tuple[str, int]

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26_379

_SCHEME: Final = (
    "the URL begins with an unknown scheme; write redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
)
_PORT: Final = "the URL has a host or port that is not valid; write host:port with a port from 0 to 65535"
_DB: Final = "the database at the end of the URL is not a number; write /0 or leave it out"


class Kind(StrEnum):
    """How a client finds the server."""

    ONE = "one"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_KINDS: Final = {
    "redis": Kind.ONE,
    "rediss": Kind.ONE,
    "unix": Kind.ONE,
    "redis+sentinel": Kind.SENTINEL,
    "rediss+sentinel": Kind.SENTINEL,
    "redis+cluster": Kind.CLUSTER,
    "rediss+cluster": Kind.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is. `hosts` are Sentinels, or some nodes of a cluster; empty for one server."""

    kind: Kind
    url: str
    """For redis-py. Its host is a placeholder when Sentinels or nodes name the server."""
    hosts: tuple[Host, ...] = ()
    service: str = ""
    """The name of the primary, as Sentinels know it."""
    sentinel_login: tuple[str | None, str | None] = (None, None)


def parse(url: str) -> Address:
    """Raises `ValueError`, whose message goes behind the name of the setting."""
    scheme, separator, rest = url.partition("://")
    kind = _KINDS.get(scheme)
    if kind is None or not separator:
        raise ValueError(_SCHEME)
    match kind:
        case Kind.ONE:
            return _one(scheme, url)
        case Kind.SENTINEL:
            return _sentinel(scheme.removesuffix("+sentinel"), rest)
        case Kind.CLUSTER:
            return _cluster(scheme.removesuffix("+cluster"), rest)


def _one(scheme: str, url: str) -> Address:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(_PORT) from error
    if scheme == "unix":
        if not parts.path:
            raise ValueError("the URL names no socket; write unix:///path/to/socket")
    elif "," in parts.netloc:
        raise ValueError("the URL names several servers; write redis+sentinel:// or redis+cluster://")
    elif not _is_db(parts.path.strip("/")):
        raise ValueError(_DB)
    return Address(Kind.ONE, url)


def _sentinel(scheme: str, rest: str) -> Address:
    login, hosts, path, query = _pieces(rest, _SENTINEL_PORT)
    service, _, db = path.partition("/")
    if not service:
        raise ValueError("the URL names no service; write redis+sentinel://host,host,host/service")
    if not _is_db(db):
        raise ValueError(_DB)
    options = dict(parse_qsl(query))
    sentinel_login = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    url = f"{scheme}://{login}localhost/{db or 0}"
    return Address(Kind.SENTINEL, _with(url, options), hosts, service, sentinel_login)


def _cluster(scheme: str, rest: str) -> Address:
    login, hosts, path, query = _pieces(rest, _REDIS_PORT)
    if path not in ("", "0"):
        raise ValueError("the URL names a database, but a cluster has only database 0; leave it out")
    return Address(Kind.CLUSTER, _with(f"{scheme}://{login}localhost/0", dict(parse_qsl(query))), hosts)


def _pieces(rest: str, port: int) -> tuple[str, tuple[Host, ...], str, str]:
    """`user:password@`, hosts, path without slashes around it, query."""
    before_query, _, query = rest.partition("?")
    authority, _, path = before_query.partition("/")
    login, at, names = authority.rpartition("@")
    hosts = tuple(_host(name, port) for name in names.split(","))
    return login + at, hosts, path.strip("/"), query


def _host(name: str, default_port: int) -> Host:
    try:
        parts = urlsplit(f"//{name}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise ValueError(_PORT) from error
    if not host:
        raise ValueError("a host in the URL is empty; write host:port,host:port")
    return host, port


def _with(url: str, options: dict[str, str]) -> str:
    return f"{url}?{urlencode(options)}" if options else url


def _is_db(text: str) -> bool:
    return not text or (text.isascii() and text.isdecimal())
