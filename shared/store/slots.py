"""Owns which node of a cluster serves which key, as the nodes last reported. Pure.

Redis spreads 16,384 slots over the nodes. Our 64 partitions are hash tags, so a partition is one slot and contains all
keys of a generation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from redis.crc import key_slot

from outlive.shared.redis_url import Host


class Redirection(NamedTuple):
    """A node refers us to another node: from now on (MOVED), or `once` for this key while its slot moves (ASK)."""

    host: Host
    once: bool


class Range(NamedTuple):
    """Consecutive slots of one node."""

    first: int
    last: int
    owner: Host


@dataclass(frozen=True, slots=True)
class Slots:
    """One node's reply to CLUSTER SLOTS, and the MOVED redirections since."""

    ranges: tuple[Range, ...] = ()
    nodes: frozenset[Host] = frozenset()
    """All nodes, replicas too: any of them can report the slots."""
    moved: dict[int, Host] = field(default_factory=dict)

    @classmethod
    def of(cls, reply: Sequence[Any], asked: Host) -> Self:
        """Read a reply of the node `asked`. A node that does not know its own address leaves it empty."""
        ranges, nodes = [], set()
        for first, last, *servers in reply:
            hosts = [(_name(server[0]) or asked[0], int(server[1])) for server in servers]
            ranges.append(Range(int(first), int(last), hosts[0]))
            nodes.update(hosts)
        return cls(tuple(ranges), frozenset(nodes))

    def owner(self, slot: int) -> Host | None:
        """The node that serves this slot; None when no node does."""
        if slot in self.moved:
            return self.moved[slot]
        return next((each.owner for each in self.ranges if each.first <= slot <= each.last), None)

    @property
    def owners(self) -> set[Host]:
        """All nodes that serve slots."""
        return {each.owner for each in self.ranges} | set(self.moved.values())


class Silences:
    """When each range of slots last had no reply. By slots and not by nodes, because after a failover another node has
    them."""

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], float] = {}

    def note(self, slots: Slots, silent: Host, now: float) -> None:
        """This node did not reply at `now`. The size is bounded by how often the slots were distributed anew."""
        self._at.update({(each.first, each.last): now for each in slots.ranges if each.owner == silent})
        self._at.update({(slot, slot): now for slot, owner in slots.moved.items() if owner == silent})

    def latest(self, slot: int) -> float | None:
        """When this slot last had no reply, by the clock of `note`; None if it always had one."""
        return max((at for (first, last), at in self._at.items() if first <= slot <= last), default=None)


def slot_of(key: str) -> int:
    """The slot of a key, from its hash tag."""
    return key_slot(key.encode())


def redirection(reply: object, asked: Host) -> Redirection | None:
    """The redirection in `MOVED 3999 127.0.0.1:6381` or `ASK ...` from the node `asked`; None for any other reply."""
    if not isinstance(reply, Exception):
        return None
    words = str(reply).split()
    if len(words) != 3 or words[0] not in ("MOVED", "ASK"):
        return None
    name, _, port = words[2].rpartition(":")
    return Redirection((name or asked[0], int(port)), words[0] == "ASK")


def _name(host: bytes | None) -> str:
    return host.decode() if host else ""
