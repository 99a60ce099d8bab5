"""Owns the table of faults: what each cost over all its runs. Pure, but for the printing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.bench.table import percentile, print_table
from tests.chaos.verdict import Toll


@dataclass
class Row:
    """One fault."""

    fault: str
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    broken: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, toll: Toll, notes: Counter[str]) -> None:
        """One more run."""
        self.runs += 1
        self.lost += toll.lost
        self.doubled += toll.doubled
        self.broken += len(toll.broken)
        self.recoveries_s += toll.recoveries_s
        self.notes += notes

    def cells(self) -> list[str]:
        counts = [str(n) for n in (self.runs, self.lost, self.doubled, self.broken)]
        return [*counts, *(self._percentile(p) for p in (50, 99)), self._said()]

    def _percentile(self, percent: float) -> str:
        return f"{percentile(self.recoveries_s, percent):.2f} s" if self.recoveries_s else "-"

    def _said(self) -> str:
        return ", ".join(f"{n} {what}" for what, n in sorted(self.notes.items()))


COLUMNS = (
    "runs",
    "events lost",
    "doubled",
    "invariants broken",
    "recovery p50",
    "p99",
    "answers ended, and what viewers saw",
)


def show(title: str, rows: Iterable[Row]) -> None:
    """The table, as it can be pasted into README.md."""
    print_table(title, COLUMNS, [(row.fault, row.cells()) for row in rows])
