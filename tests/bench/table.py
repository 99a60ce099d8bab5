"""Owns how the figures of a benchmark are summarised and printed. Pure, except that it prints.

Knows nothing of what is measured.
"""

from collections.abc import Sequence

PERCENTS = (50, 90, 99)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` of all: always a measured one."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def print_table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print one table, ready to be pasted into a Markdown page."""
    print(f"\n{title}\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")


def milliseconds(values: Sequence[float]) -> list[str]:
    """p50, p90, p99 and the mean of values in seconds."""
    return [f"{1000 * value:.2f}" for value in summary(values)]


def summary(values: Sequence[float]) -> list[float]:
    """p50, p90, p99 and the mean."""
    return [*(percentile(values, percent) for percent in PERCENTS), mean(values)]


COLUMNS = ("p50 ms", "p90 ms", "p99 ms", "mean ms")
"""What stands above `milliseconds`."""
