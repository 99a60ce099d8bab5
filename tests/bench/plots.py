"""Owns the two pictures: how latency grows with viewers, and throughput with what is offered.

They go to `dist/bench`. `make bench-pictures` copies them to `docs/pictures`, for docs/benchmarks.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.fanout import Run

_TO: Final = Path(__file__).parents[2] / "dist" / "bench"
_SIZE: Final = (6.4, 4.0)
_COLOURS: Final = ("#1b6ca8", "#c0392b", "#7f8c8d")


def viewers(lines: Mapping[str, Sequence[Run]]) -> None:
    """p50 and p99 against the number of viewers. A line ends where its server fails."""
    figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
    for (name, runs), colour in zip(lines.items(), _COLOURS, strict=False):
        counts = [run.seen.viewers for run in runs]
        axes.plot(counts, [run.seen.p99_ms for run in runs], color=colour, marker="o", label=f"{name}, p99")
        axes.plot(counts, [run.seen.p50_ms for run in runs], color=colour, ls="--", marker=".", label=f"{name}, p50")
        _mark_failure(axes, runs, counts, [run.seen.p99_ms for run in runs])
    axes.set(xlabel="viewers of one generation, 50 events/s, one core", ylabel="event to viewer, ms", yscale="log")
    _save(figure, axes, "viewers.png")


def throughput(lines: Mapping[str, Sequence[Run]]) -> None:
    """Delivered against offered events, with 1,000 viewers."""
    figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
    for (name, runs), colour in zip(lines.items(), _COLOURS, strict=False):
        offered = [run.offered_per_s / 1000 for run in runs]
        delivered = [run.per_s / 1000 for run in runs]
        axes.plot(offered, delivered, color=colour, marker="o", label=name)
        _mark_failure(axes, runs, offered, delivered)
    axes.set(xlabel="offered, thousand deliveries/s to 1,000 viewers", ylabel="delivered, thousand/s", yscale="log")
    axes.set_xscale("log")
    _save(figure, axes, "throughput.png")


def _mark_failure(axes: Axes, runs: Sequence[Run], across: Sequence[float], up: Sequence[float]) -> None:
    if not runs[-1].is_good:
        axes.annotate("fails", (across[-1], up[-1]), textcoords="offset points", xytext=(8, 0), va="center")


def _save(figure: Figure, axes: Axes, name: str) -> None:
    axes.grid(alpha=0.3, which="both", lw=0.5)
    axes.legend(fontsize=8)
    _TO.mkdir(parents=True, exist_ok=True)
    figure.savefig(_TO / name, dpi=100)
    plt.close(figure)
