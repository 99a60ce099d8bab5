"""Owns the table of faults: what each cost over all its runs. Pure, except that it prints."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.bench.table import percentile, print_table
from tests.chaos.fault_cost import Cost


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

    def add(self, cost: Cost, notes: Counter[str]) -> None:
        """Add one run."""
        self.runs += 1
        self.lost += cost.lost
        self.doubled += cost.doubled
        self.broken += len(cost.broken)
        self.recoveries_s += cost.recoveries_s
        self.notes += notes

    def cells(self) -> list[str]:
        counts = [str(n) for n in (self.runs, self.lost, self.doubled, self.broken)]
        return [*counts, *(self._percentile(p) for p in (50, 99)), self._notes()]

    def _percentile(self, percent: float) -> str:
        return f"{percentile(self.recoveries_s, percent):.2f} s" if self.recoveries_s else "-"

    def _notes(self) -> str:
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
    """Print the table, ready to be pasted into the documentation."""
    print_table(title, COLUMNS, [(row.fault, row.cells()) for row in rows])
