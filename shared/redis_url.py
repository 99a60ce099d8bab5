"""Owns how one setting says where Redis is: one server, a Sentinel set, or a cluster.

    redis://[user:password@]host[:6379][/db]         rediss:// the same with TLS
    unix:///path/to/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379],host,.../service[/db][?sentinel_password=...]
    redis+cluster://[user:password@]host[:6379],host,...

The latter two as `rediss+...` with TLS. Of a cluster a few of its nodes are enough: they know the
others. Options of redis-py may follow as a query. Pure. What is said of a mistake never repeats the
URL, because it may hold a password.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

Host = tuple[str, int]

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26_379


class Kind(StrEnum):
    """How its server is found."""

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
    """Where Redis is. `hosts` are Sentinels, or some nodes of a cluster; of one server there are none."""

    kind: Kind
    url: str
    """For redis-py. Where the server is found by asking, its host is a placeholder."""
    hosts: tuple[Host, ...] = ()
    service: str = ""
    """The name that Sentinels know the primary by."""
    sentinel_login: tuple[str | None, str | None] = (None, None)


def parse(url: str) -> Address:
    """Raises `ValueError`, with a sentence about what is wrong."""
    scheme, separator, rest = url.partition("://")
    kind = _KINDS.get(scheme)
    if kind is None or not separator:
        raise ValueError("begins with none of redis://, rediss://, unix://, redis+sentinel://, redis+cluster://")
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
        raise ValueError("its host or port is none") from error
    if scheme == "unix":
        if not parts.path:
            raise ValueError("names no socket: unix:///path/to/socket")
    elif "," in parts.netloc:
        raise ValueError("names several servers: that is redis+sentinel:// or redis+cluster://")
    elif not _is_db(parts.path.strip("/")):
        raise ValueError("ends in what is no number of a database")
    return Address(Kind.ONE, url)


def _sentinel(scheme: str, rest: str) -> Address:
    login, hosts, path, query = _pieces(rest, _SENTINEL_PORT)
    service, _, db = path.partition("/")
    if not service:
        raise ValueError("names no service: redis+sentinel://host,host,host/service")
    if not _is_db(db):
        raise ValueError("ends in what is no number of a database")
    options = dict(parse_qsl(query))
    asks_as = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    url = f"{scheme}://{login}localhost/{db or 0}"
    return Address(Kind.SENTINEL, _with(url, options), hosts, service, asks_as)


def _cluster(scheme: str, rest: str) -> Address:
    login, hosts, path, query = _pieces(rest, _REDIS_PORT)
    if path not in ("", "0"):
        raise ValueError("names a database: a cluster has none but 0")
    return Address(Kind.CLUSTER, _with(f"{scheme}://{login}localhost/0", dict(parse_qsl(query))), hosts)


def _pieces(rest: str, port: int) -> tuple[str, tuple[Host, ...], str, str]:
    """`user:password@`, hosts, path without slashes around it, query."""
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, names = authority.rpartition("@")
    hosts = tuple(_host(name, port) for name in names.split(","))
    return login + at, hosts, path.strip("/"), query


def _host(name: str, default_port: int) -> Host:
    try:
        parts = urlsplit(f"//{name}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise ValueError("has a port that is none") from error
    if not host:
        raise ValueError("has an empty host in its list")
    return host, port


def _with(url: str, options: dict[str, str]) -> str:
    return f"{url}?{urlencode(options)}" if options else url


def _is_db(text: str) -> bool:
    return not text or (text.isascii() and text.isdecimal())
