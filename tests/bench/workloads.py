"""Owns the workloads, and the line of the table that each becomes, ours beside the others.

`PARTS` names them. Each can run alone; all take fifteen minutes (`__main__.py`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from tests.bench import growth, overhead, plots, stalled, writing
from tests.bench.fanout import C_QUICK, REPLAYED, REPLAYING, A, C, Run, Workload, live, middle_of, replay
from tests.bench.peers import Identified, Nchan, Outlive, Peer, Tutorial, TwoProcesses
from tests.bench.table import percentile

PEERS: Final[Sequence[type[Peer]]] = [kind for kind in (Outlive, Tutorial, Nchan) if kind.is_here()]
_RUNS: Final = 3
_PAIRS: Final = 4
_VIEWERS: Final = (500, 1000, 2500, 5000)
_RATES: Final = (50, 200, 500, 1050)
_SECONDS: Final = 4.0


class Figure(NamedTuple):
    """One line: the figure of each server, and the target for ours."""

    name: str
    cells: Mapping[str, str]
    aim: str = ""


async def one_stream() -> list[Figure]:
    """A: 1,000 viewers of one generation; once more over two of our processes."""
    runs = {kind.name: await middle_of(_RUNS if kind is not Tutorial else 1, kind, A) for kind in PEERS}
    cells = {name: _carried(run, "server") for name, run in runs.items()}
    two = await live(TwoProcesses(), A)
    return [
        Figure("A: 1 stream, 1,000 viewers, 50 events/s: delivered per CPU-s; p50 / p99 ms", cells, "140k; 30 / 60"),
        Figure("the same over `--workers 2`", {Outlive.name: _carried(two, "server")}, "140k"),
    ]


async def saturation() -> list[Figure]:
    """B: 1,000 viewers of one generation, faster and faster until it fails; a plot."""
    lines = await _until_it_fails([Workload(1, 1000, rate, _SECONDS) for rate in _RATES])
    plots.throughput(lines)
    cells = {name: _max(runs, lambda run: run.per_s, "deliveries/s") for name, runs in lines.items()}
    return [Figure("B: 1 stream, 1,000 viewers: most delivered a second; p99 ms", cells, "1,000k; 60")]


async def many_streams() -> list[Figure]:
    """C: 500 generations with a viewer each; busy workers flush seldom, idle workers often."""
    figures = []
    for work, aim in ((C, "36k; p99 100"), (C_QUICK, "")):
        runs = {kind.name: await live(kind(), work) for kind in PEERS}
        cells = {name: _carried(run, "server", "redis") for name, run in runs.items()}
        name = (
            f"C: 500 streams, 1 viewer each, 50 events/s written every {work.round_ms:.0f} ms: "
            "delivered per CPU-s, Redis included; p50 / p99 ms"
        )
        figures.append(Figure(name, cells, aim))
    return figures


async def replaying() -> list[Figure]:
    """D: 200 viewers come at once and read from the start."""
    # Nchan stores its own messages, and would have to be filled by hand.
    kinds = [kind for kind in PEERS if kind is not Nchan]
    runs = {kind.name: await replay(kind(), REPLAYING, REPLAYED) for kind in kinds}
    cells = {name: f"{run.seen.complete_s:.2f} s" if run.seen.is_whole else "fails" for name, run in runs.items()}
    return [Figure(f"D: {REPLAYING} viewers read {REPLAYED:,} events from the start: all have all", cells, "0.3 s")]


async def many_viewers() -> list[Figure]:
    """E: more and more viewers of one generation; a plot, and what each costs in memory."""
    lines = await _until_it_fails([Workload(1, viewers, 50, _SECONDS) for viewers in _VIEWERS])
    plots.viewers(lines)
    cells = {name: _max(runs, lambda run: run.seen.viewers, "viewers") for name, runs in lines.items()}
    memory = {name: f"{runs[-1].viewer_bytes / 1000:.1f} kB" for name, runs in lines.items()}
    return [
        Figure("E: 1 stream, 50 events/s: most viewers (up to 5,000); p99 ms", cells, "5,000; 120"),
        Figure("memory of each of these viewers", memory, "12 kB"),
    ]


async def one_viewer() -> list[Figure]:
    """Latency on an idle machine: from the append to the bytes at the viewer."""
    work = Workload(1, 1, 40, 5)
    runs = {kind.name: await live(kind(), work) for kind in PEERS}
    cells = {name: f"{run.seen.p50_ms:.2f} / {run.seen.p99_ms:.2f}" for name, run in runs.items()}
    return [Figure("1 stream, 1 viewer, idle: append to bytes, p50 / p99 ms", cells, "1 / 5")]


async def first_token() -> list[Figure]:
    """What the whole path adds to the time to the first token."""
    direct, through = await overhead.first_tokens()
    cells = {Outlive.name: f"{1000 * through:.1f} (direct {1000 * direct:.1f})"}
    return [Figure("time to the first token, idle: p50 ms", cells, "5 more than direct")]


async def worker() -> list[Figure]:
    """500 answers at 50 tokens a second in one worker."""
    ours, usual = await writing.ours(), await writing.tutorial()
    cells = {
        name: f"{run.per_cpu_s / 1000:.1f}k; {run.late_s:.1f}"
        for name, run in ((Outlive.name, ours), (Tutorial.name, usual))
    }
    name = f"worker, {writing.ANSWERS} answers at 50 tokens/s: chunks per CPU-s; s behind the model at the end"
    return [Figure(name, cells, "5x the tutorial; 0")]


async def stalling() -> list[Figure]:
    """What a viewer that does not read costs the others."""
    latencies: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(_PAIRS):
        # By turns, and each first equally often: other load on the machine affects both.
        for count in (0, 1) if turn % 2 else (1, 0):
            run = await stalled.beside(count)
            latencies[count].append(run.seen.p99_ms)
    alone_ms, beside_ms = median(latencies[0]), median(latencies[1])
    cell = f"{beside_ms:.1f} ({alone_ms:.1f}): {100 * (beside_ms / alone_ms - 1):+.0f} %"
    name = f"A beside a viewer that has stalled, {_PAIRS} runs: p99 ms (without it)"
    return [Figure(name, {Outlive.name: cell}, "10 % more")]


async def identified() -> list[Figure]:
    """What authentication costs: A by turns without and with it, and E with it."""
    without, withs = list[float](), list[float]()
    # One run differs from the next by a tenth; the difference measured here is smaller.
    for _ in range(_PAIRS):
        without.append((await live(Outlive(), A)).per_cpu_s("server"))
        withs.append((await live(Identified(), A)).per_cpu_s("server"))
    many = Workload(1, _VIEWERS[-1], 50, _SECONDS)
    plain, known = await live(Outlive(), many), await live(Identified(), many)
    return [
        Figure(
            "A with `auth` on: delivered per CPU-s (without it)",
            {Outlive.name: f"{median(withs) / 1000:.0f}k ({median(without) / 1000:.0f}k)"},
            "3 % less",
        ),
        Figure(
            f"E, {_VIEWERS[-1]:,} viewers, with `auth` on: delivered per CPU-s; p99 ms (without it)",
            {Outlive.name: f"{_cost(known)} ({_cost(plain)})"},
            "3 % less",
        ),
    ]


async def growing() -> list[Figure]:
    """The same tokens a second over more and more open answers, API, worker and Redis on one core."""
    figures = []
    for count in growth.OPEN:
        run = await growth.measured(count)
        late = "/".join(f"{1000 * percentile(run.lateness_s, percent):.0f}" for percent in (50, 99))
        cpu = " + ".join(f"{1e6 * run.cpu_s[name]:.0f}" for name in ("worker", "API", "Redis"))
        name = (
            f"{growth.TOKENS_PER_S} tokens/s over {count:,} open answers: late p50/p99 ms; "
            "CPU us a token of worker + API + Redis"
        )
        figures.append(
            Figure(name, {Outlive.name: f"{late}; {cpu}"}, "p99 15; API + Redis at most 1.3 times that of 100")
        )
    return figures


def _cost(run: Run) -> str:
    how = "" if run.is_good else "fails: "
    return f"{how}{run.per_cpu_s('server') / 1000:.0f}k; {run.seen.p99_ms:,.0f}"


PARTS: Final[Mapping[str, Callable[[], Awaitable[list[Figure]]]]] = {
    "A": one_stream,
    "B": saturation,
    "C": many_streams,
    "D": replaying,
    "E": many_viewers,
    "latency": one_viewer,
    "first-token": first_token,
    "worker": worker,
    "stalled": stalling,
    "auth": identified,
    "growth": growing,
}


async def _until_it_fails(works: Sequence[Workload]) -> dict[str, list[Run]]:
    """The runs of each server; the last may be the one in which it failed."""
    lines: dict[str, list[Run]] = {}
    for kind in PEERS:
        lines[kind.name] = []
        for work in works:
            run = await live(kind(), work)
            lines[kind.name].append(run)
            if not run.is_good:
                break
    return lines


def _carried(run: Run, *names: str) -> str:
    how = "" if run.is_good else "fails: "
    return f"{how}{run.per_cpu_s(*names) / 1000:.0f}k; {run.seen.p50_ms:,.0f} / {run.seen.p99_ms:,.0f}"


def _max(runs: Sequence[Run], of: Callable[[Run], float], unit: str) -> str:
    good = [run for run in runs if run.is_good]
    return f"{of(good[-1]):,.0f} {unit}; {good[-1].seen.p99_ms:,.0f}" if good else f"fails at {of(runs[0]):,.0f} {unit}"
