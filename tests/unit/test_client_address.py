"""Whose address counts when proxies stand in between."""

import pytest

from outlive.api.limits.client_address import client_address, networks
from outlive.shared.errors import SettingsError

NONE = networks("")
ONE = networks("10.0.0.1")
TWO = networks("10.0.0.0/24, 192.168.7.7")
SIX = networks("2001:db8:ffff::/48")


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    """Whatever its headers say."""
    assert client_address("203.0.113.5", ["198.51.100.1"], NONE) == "203.0.113.5"


def test_a_peer_that_is_not_trusted_cannot_forge() -> None:
    """Neither with one line nor with several, nor by naming a trusted proxy."""
    for lines in (["198.51.100.1"], ["198.51.100.1", "10.0.0.1"], ["10.0.0.1, 10.0.0.1"]):
        assert client_address("203.0.113.5", lines, ONE) == "203.0.113.5"


def test_a_trusted_proxy_names_the_client_last() -> None:
    """The client wrote the entries before it."""
    assert client_address("10.0.0.1", ["6.6.6.6, 203.0.113.5"], ONE) == "203.0.113.5"


def test_behind_two_trusted_proxies_clients_are_told_apart() -> None:
    """The outer proxy's own address is passed over."""
    for client in ("203.0.113.5", "203.0.113.6"):
        assert client_address("10.0.0.1", [f"{client}, 192.168.7.7"], TWO) == client
        assert client_address("10.0.0.1", [f"6.6.6.6, {client}, 192.168.7.7, 10.0.0.9"], TWO) == client


def test_several_lines_are_one_list() -> None:
    """A proxy that adds a line of its own is not defeated by a line of the client's."""
    assert client_address("10.0.0.1", ["6.6.6.6", "203.0.113.5"], ONE) == "203.0.113.5"
    assert client_address("10.0.0.1", ["6.6.6.6", "203.0.113.5, 192.168.7.7"], TWO) == "203.0.113.5"


@pytest.mark.parametrize("lines", [[], [""], [" , "], [",,"]])
def test_a_trusted_peer_that_forwards_for_nobody_is_the_client(lines: list[str]) -> None:
    """Such as an operator's script."""
    assert client_address("10.0.0.1", lines, ONE) == "10.0.0.1"


def test_where_all_are_trusted_the_first_is_the_client() -> None:
    """It is within the operator's network."""
    assert client_address("10.0.0.1", ["10.0.0.7, 10.0.0.9"], TWO) == "10.0.0.7"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.5:4711", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
    ],
)
def test_ports_and_brackets_do_not_matter(entry: str, address: str) -> None:
    """Proxies write all of these."""
    assert client_address("10.0.0.1", [entry], ONE) == address


@pytest.mark.parametrize("garbage", ["unknown", "_hidden", "1.2.3", "[::1", "203.0.113.5.", "x" * 10_000, "é"])
def test_behind_garbage_everybody_is_one(garbage: str) -> None:
    """The proxy that sent it is the last address known; nothing a client writes becomes a new address."""
    assert client_address("10.0.0.1", [f"198.51.100.1, {garbage}"], ONE) == "10.0.0.1"


def test_an_ipv6_household_is_one_client() -> None:
    """It chooses the last 64 bits as it likes."""
    seen = {client_address(f"2001:db8:1:2::{n:x}", [], NONE) for n in range(1, 20)}
    assert seen == {"2001:db8:1:2::/64"}
    assert client_address("2001:db8:1:3::1", [], NONE) == "2001:db8:1:3::/64"
    assert client_address("fe80::1%eth0", [], NONE) == "fe80::/64"


def test_an_ipv6_proxy_is_trusted_by_its_network() -> None:
    """Also where clients come by IPv4."""
    assert client_address("2001:db8:ffff::1", ["203.0.113.5"], SIX) == "203.0.113.5"


def test_a_mapped_peer_is_its_ipv4_address() -> None:
    """A socket that listens on `::` shows IPv4 clients so; they are neither one household nor untrusted."""
    assert client_address("::ffff:203.0.113.5", [], NONE) == "203.0.113.5"
    assert client_address("::ffff:10.0.0.1", ["203.0.113.5"], ONE) == "203.0.113.5"


def test_a_peer_without_an_ip_address_counts_as_it_is() -> None:
    """A Unix socket has none, and nothing it forwards is believed."""
    assert client_address("", ["203.0.113.5"], ONE) == ""


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "10.0.0.1;10.0.0.2"])
def test_a_setting_that_is_not_a_network_is_refused(text: str) -> None:
    """With the part that is wrong."""
    with pytest.raises(SettingsError, match="OUTLIVE_PROXIES: `"):
        networks(f"127.0.0.1, {text}")
