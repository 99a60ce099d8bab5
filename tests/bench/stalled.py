"""Owns what viewers that never read cost the others: `stalled`, one of a thousand; `never`, five hundred.

Behind the live end lie 8 MB that only the stalled ones ask for, so that their sockets are full
before the first live event.
"""

from dataclasses import dataclass
from typing import Final

from tests.bench import load
from tests.bench.cores import rss_bytes, sockets
from tests.bench.fanout import CONNECTS_PER_S, A, Run, Workload, written
from tests.bench.peers import Tokencast
from tests.support.waiting import until

_OLD: Final = [b'{"text":"%b"}' % (b"x" * 4000)] * 2000
STALL_S: Final = 5.0
"""A sixth of the default, so that the end of it can be waited for."""

NEVER: Final = 500
_WITHIN_S: Final = 3 * STALL_S


async def beside(stalled: int, work: Workload = A) -> Run:
    """Workload A, with this many that read nothing among its viewers."""
    peer = Tokencast()
    await peer.start(1, _OLD)
    try:
        paths = [peer.paths[0]] * stalled + [peer.paths_after[0]] * (work.viewers - stalled)
        opened = load.viewers(
            peer.server.port, work.viewers, paths, events=work.events, within_s=work.within_s, stalled=stalled,
            per_s=CONNECTS_PER_S,
        )  # fmt: skip
        async with opened as viewers:
            await viewers.connected()
            return Run(*await written(peer, work, viewers))
    finally:
        await peer.stop()


@dataclass(frozen=True, slots=True)
class Never:
    """What viewers cost that never read, and what is left of them after the stall limit."""

    most_bytes: int
    left_sockets: int


async def never() -> Never:
    """All at once, on a process that knows the log already."""
    peer = Tokencast({"stall_s": STALL_S})
    await peer.start(1, _OLD)
    try:
        async with load.viewers(peer.server.port, 1, peer.paths_after, events=1, within_s=1) as one:
            await one.seen()
        before_bytes, before_sockets = rss_bytes(peer.server.pid), sockets(peer.server.pid)
        most = before_bytes
        asked = load.viewers(peer.server.port, NEVER, peer.paths, events=1, within_s=2 * _WITHIN_S, stalled=NEVER)
        async with asked as viewers:
            await viewers.connected()
            seen = 0

            async def gone() -> bool:
                nonlocal most, seen
                most = max(most, rss_bytes(peer.server.pid))
                now = sockets(peer.server.pid) - before_sockets
                seen = max(seen, now)
                return seen > NEVER / 2 and now <= NEVER / 50

            await until(gone, _WITHIN_S, "the end of those that never read", every_s=0.1)
        return Never(most - before_bytes, max(0, sockets(peer.server.pid) - before_sockets))
    finally:
        await peer.stop()
