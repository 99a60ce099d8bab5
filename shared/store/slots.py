"""Owns which node of a cluster serves which key, as the nodes last told us. Pure.

Redis spreads 16,384 slots over the nodes. Our 64 partitions are hash tags, so a partition is one
slot, and all of a generation's keys are in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from redis.crc import key_slot

from outlive.shared.redis_url import Host


class Redirection(NamedTuple):
    """A node's word that another one is to be asked: for good (MOVED), or for this one key while its
    slot is on its way (ASK)."""

    host: Host
    once: bool


class Range(NamedTuple):
    """Consecutive slots of one node."""

    first: int
    last: int
    owner: Host


@dataclass(frozen=True, slots=True)
class Slots:
    """One node's answer to CLUSTER SLOTS, and what MOVED has said since."""

    ranges: tuple[Range, ...] = ()
    nodes: frozenset[Host] = frozenset()
    """All of them, replicas too: any can be asked for the slots."""
    moved: dict[int, Host] = field(default_factory=dict)

    @classmethod
    def of(cls, reply: Sequence[Any], asked: Host) -> Self:
        """Read a reply of the node `asked`; one that does not know its own address leaves it empty."""
        ranges, nodes = [], set()
        for first, last, *servers in reply:
            places = [(_name(server[0]) or asked[0], int(server[1])) for server in servers]
            ranges.append(Range(int(first), int(last), places[0]))
            nodes.update(places)
        return cls(tuple(ranges), frozenset(nodes))

    def owner(self, slot: int) -> Host | None:
        """The node to ask; None for a slot that nobody serves."""
        if slot in self.moved:
            return self.moved[slot]
        return next((one.owner for one in self.ranges if one.first <= slot <= one.last), None)

    @property
    def owners(self) -> set[Host]:
        """All nodes that serve slots."""
        return {one.owner for one in self.ranges} | set(self.moved.values())


class Silences:
    """When each part of the slots last had no answer. Kept by slots, not by nodes: after a failover
    they are another node's."""

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], float] = {}

    def note(self, slots: Slots, silent: Host, now: float) -> None:
        """This node did not answer. Bounded by how often slots were dealt out anew."""
        self._at.update({(one.first, one.last): now for one in slots.ranges if one.owner == silent})
        self._at.update({(slot, slot): now for slot, owner in slots.moved.items() if owner == silent})

    def latest(self, slot: int) -> float | None:
        return max((at for (first, last), at in self._at.items() if first <= slot <= last), default=None)


def slot_of(key: str) -> int:
    """The slot of a key, by its hash tag."""
    return key_slot(key.encode())


def redirection(reply: object, asked: Host) -> Redirection | None:
    """What `MOVED 3999 127.0.0.1:6381` or `ASK ...` says; None for any other reply."""
    if not isinstance(reply, Exception):
        return None
    words = str(reply).split()
    if len(words) != 3 or words[0] not in ("MOVED", "ASK"):
        return None
    name, _, port = words[2].rpartition(":")
    return Redirection((name or asked[0], int(port)), words[0] == "ASK")


def _name(host: bytes | None) -> str:
    return host.decode() if host else ""
