"""Owns which address a request comes from, also where trusted proxies pass it on.

Pure. Every proxy appends the address that called it to `X-Forwarded-For`. So the list is read from the
right: as long as an address is a trusted proxy, the entry before it is believed. The first address that
is not trusted is the client; entries before that one were written by the client and prove nothing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from outlive.shared.errors import SettingsError

_HOUSEHOLD_BITS: Final = 64
"""Of an IPv6 address, these bits belong to one household, which chooses the other bits freely."""

Networks = tuple[IPv4Network | IPv6Network, ...]


def networks(text: str) -> Networks:
    """The networks of the setting `OUTLIVE_PROXIES`. Raises `SettingsError`."""
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str, forwarded_for: Iterable[str], proxies: Networks) -> str:
    """The address to count a client by: its IPv4 address, or the /64 network of its IPv6 address.

    `peer` is the address of the connection; `forwarded_for` are the values of all `X-Forwarded-For`
    lines in the order they came. A peer without an IP address (a Unix socket) counts as it is.
    """
    address = _address(peer)
    if address is None:
        return peer
    entries = ",".join(forwarded_for).split(",")
    while entries and _is_trusted(address, proxies):
        entry = _without_port(entries.pop().strip())
        if not entry:
            continue
        # A proxy that does not know its caller writes `unknown`. Then everybody behind it counts as one.
        if (before := _address(entry)) is None:
            break
        address = before
    return _household(address)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError(
            f"OUTLIVE_PROXIES: `{text}` is not an IP address or a network ({error}). Write addresses or "
            "networks such as 10.0.0.0/8, separated by commas."
        ) from error


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on both kinds of addresses shows IPv4 clients as `::ffff:192.0.2.1`.
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _without_port(entry: str) -> str:
    """`192.0.2.1:80`, `[2001:db8::1]:80` and `[2001:db8::1]` without port and brackets."""
    if entry.startswith("[") and "]" in entry:
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _is_trusted(address: IPv4Address | IPv6Address, proxies: Networks) -> bool:
    return any(address in network for network in proxies)


def _household(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _HOUSEHOLD_BITS), strict=False))
    return str(address)
