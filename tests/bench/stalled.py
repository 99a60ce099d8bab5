"""Owns what a viewer that never reads costs the others.

Before the live end there are 8 MB that only the stalled viewer requests, so that its socket is full before the first
live event. tests/e2e/test_stalled.py asserts what many of them cost the process.
"""

from typing import Final

from tests.bench import load
from tests.bench.fanout import CONNECTS_PER_S, A, Run, Workload, written
from tests.bench.peers import Outlive

_OLD: Final = [b'{"text":"%b"}' % (b"x" * 4000)] * 2000


async def beside(stalled: int, work: Workload = A) -> Run:
    """Workload A, with this many that read nothing among its viewers."""
    peer = Outlive()
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
