"""Owns how many may watch at once: on this process, of one generation, from one address.

Who is too many for the process is sent to another one; who is too many for the rest is refused.
Counts each response once, when it begins and when it ends. Knows nothing of what is watched.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

from outlive.api.fanout.hub import Hub
from outlive.shared.errors import SettingsError, TooManyViewers
from outlive.shared.settings import Settings

_RETRY_AFTER_S: Final = 10
_OF_ONE: Final = 64
"""Bits of an IPv6 address that belong to one household; the rest it chooses as it likes."""

Networks = tuple[IPv4Network | IPv6Network, ...]
Leave = Callable[[], None]


class ViewerLimits:
    """One per process."""

    def __init__(self, settings: Settings, hub: Hub) -> None:
        """Raises `SettingsError`."""
        self._settings = settings
        self._hub = hub
        self._proxies = networks(settings.proxies)
        self._from: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether the next viewer should try another process."""
        return self._hub.watched().viewers >= self._settings.viewers

    def enter(self, connection: HTTPConnection, generation_id: str) -> Leave:
        """One viewer more; what is returned is to be called once, when it has left. Raises `TooManyViewers`."""
        most = self._settings.viewers_per_address
        if self._hub.viewers_of(generation_id) >= self._settings.viewers_per_generation:
            raise TooManyViewers(retry_after_s=_RETRY_AFTER_S)
        if most is None:
            return _nothing
        address = address_of(connection, self._proxies)
        if self._from[address] >= most:
            raise TooManyViewers(retry_after_s=_RETRY_AFTER_S)
        self._from[address] += 1
        return partial(self._leave, address)

    def _leave(self, address: str) -> None:
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]


def address_of(connection: HTTPConnection, proxies: Networks) -> str:
    """Where a caller is. Only a proxy of the operator's is believed, and of what it says the last entry,
    which it wrote itself; the ones before came from the caller."""
    peer = connection.client.host if connection.client else ""
    told = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return _household(told if told and _is_among(peer, proxies) else peer)


def networks(text: str) -> Networks:
    """From the setting. Raises `SettingsError`."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"OUTLIVE_PROXIES: {error}.") from error


def _is_among(address: str, proxies: Networks) -> bool:
    try:
        return any(ip_address(address) in network for network in proxies)
    except ValueError:
        return False


def _household(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _OF_ONE), strict=False))
    return str(parsed)


def _nothing() -> None:
    """Nobody counts."""
