"""Owns one run of viewers against one server, and the workloads of such runs.

Every run starts its own server and Redis (with its append-only file), gives the server its own core, and counts
events at the viewers (`?fold=false`; nothing else is switched off). A run in which a viewer missed an event or got
one twice says so.

What each step gained, in thousand events delivered per CPU-second (A: of the API; C: API and Redis),
p50 / p99 in ms. Two shared cores, one run each, so the last digit is noise:

| | A | C | E, 5,000 viewers |
|---|--:|--:|--:|
| connection below ASGI, reader paced, one append for many generations | 115 to 131; 21 / 42 | 19; p99 142 | p99 110 |
| garbage looked for seldom (`shared/runtime/gc_tuning.py`; it was 43 % of C) | | 20; p99 57 | |
| a busy process writes at most every 40 ms (`send` is 90 % of it) | 169 to 179; 25 / 48 | 21; p99 64 | p99 130 |
| the writer flushes every 5 ms, not as soon as Redis answers | | 27; p99 88 | |
| an append makes text of fewer numbers; viewers in turns | 147 to 155; 24 / 45 | 32; p99 62 | p99 93 to 115 |
| later, with other wires, clusters and measures; which of them cost was not looked at | 140; 23 / 44 | 26; p99 69 | |
| an event takes fewer steps (on a day on which all were a tenth slower) | 123; 23 / 44 | 23; p99 82 | p99 99 to 165 |
| what a round left is done in the pause (`shared/runtime/pacing.py`) | 128 to 174; 28 / 52 | 29; p99 78 | p99 103 |
| a busy worker flushes every 45 ms, and commands are packed in C | | 36 to 41; p99 84 | |

A whole log read in larger pages (`shared/log/reader.py`): D by turns 0.29 to 0.31 s, and 0.34 to 0.35 without.
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from outlive.worker.publishing.flush_pacing import FlushPacing
from tests.bench import load
from tests.bench.cores import Reading, rss_bytes
from tests.bench.load import Seen
from tests.bench.peers import Peer, numbered

_SLACK_S: Final = 5.0
"""How long viewers wait for events that are late before the run counts as failed."""

CONNECTS_PER_S: Final = 1500
_LATE_MS: Final = 1000.0
"""A server whose p99 is above this falls behind, and would be further behind in a longer run."""


@dataclass(frozen=True, slots=True)
class Workload:
    """How many viewers of how many streams, and how many events a second in each stream."""

    streams: int
    viewers: int
    per_s: float
    seconds: float
    round_ms: float = 0
    """Min time between two flushes of the writer."""

    @property
    def events(self) -> int:
        """Events in each stream."""
        return round(self.per_s * self.seconds)

    @property
    def within_s(self) -> float:
        """Connecting and the slack included."""
        return self.seconds + _SLACK_S + self.viewers / 500


A: Final = Workload(streams=1, viewers=1000, per_s=50, seconds=5)
_STREAMS: Final = 500
C: Final = Workload(
    _STREAMS, viewers=_STREAMS, per_s=50, seconds=5, round_ms=1000 * FlushPacing().rest_each_s * _STREAMS
)
"""Written with the flush interval of a busy worker of ours with so many generations."""
C_QUICK: Final = replace(C, round_ms=5)
"""Written as many workers would that are not busy."""
REPLAYED: Final = 5000
REPLAYING: Final = 200


@dataclass(frozen=True, slots=True)
class Run:
    """One run's figures."""

    seen: Seen
    cpu_s: dict[str, float]
    viewer_bytes: float = 0.0
    offered_per_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Nothing lost, nothing doubled, and not falling behind."""
        return self.seen.is_whole and self.seen.p99_ms < _LATE_MS

    def per_cpu_s(self, *names: str) -> float:
        """Events delivered for each CPU second of these."""
        return self.seen.events / max(1e-9, sum(self.cpu_s[name] for name in names))

    @property
    def per_s(self) -> float:
        """Events delivered a second."""
        return self.seen.events / max(1e-9, self.seen.span_s)


async def live(peer: Peer, work: Workload) -> Run:
    """Connect viewers first, then write events."""
    await peer.start(work.streams)
    try:
        idle_bytes = rss_bytes(peer.server.pid)
        opened = load.viewers(
            peer.server.port, work.viewers, peer.paths, events=work.events, within_s=work.within_s,
            per_s=CONNECTS_PER_S,
        )  # fmt: skip
        async with opened as viewers:
            await viewers.connected()
            viewer_bytes = (rss_bytes(peer.server.pid) - idle_bytes) / work.viewers
            offered_per_s = work.per_s * work.viewers
            return Run(*await written(peer, work, viewers), viewer_bytes, offered_per_s)
    finally:
        await peer.stop()


async def written(peer: Peer, work: Workload, viewers: load.Viewers) -> tuple[Seen, dict[str, float]]:
    """Write all events, and wait until all viewers have them."""
    before = Reading.of(peer.pids)
    await load.append(
        peer.appends, peer.target, peer.plan, per_s=work.per_s, seconds=work.seconds, round_ms=work.round_ms
    )
    seen = await viewers.seen()
    return seen, Reading.of(peer.pids).since(before)


async def replay(peer: Peer, viewers: int, events: int) -> Run:
    """Write events first, then connect all viewers at once."""
    await peer.start(1, numbered(events))
    try:
        before = Reading.of(peer.pids)
        opened = load.viewers(peer.server.port, viewers, peer.paths, events=events, within_s=4 * _SLACK_S)
        async with opened as under_way:
            seen = await under_way.seen()
            return Run(seen, Reading.of(peer.pids).since(before))
    finally:
        await peer.stop()


async def middle_of(runs: int, kind: type[Peer], work: Workload) -> Run:
    """The run in the middle by cost; a run that is not good comes first, so that it is not hidden."""
    made = [await live(kind(), work) for _ in range(runs)]
    bad = [run for run in made if not run.is_good]
    middle = median(run.per_cpu_s("server") for run in made)
    return bad[0] if bad else min(made, key=lambda run: abs(run.per_cpu_s("server") - middle))
