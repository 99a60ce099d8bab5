"""How many cores and what they cost, from the figures of `scale`: `python -m tests.bench.sizing`. Pure arithmetic.

The figures below are the slopes of its fits; replace them by what it prints on your machine.
"""

import math
from typing import Final, NamedTuple

from tests.bench.table import print_table

EVENTS_PER_S: Final = 10
"""Of one running generation; what `scale` drives, and what the figures below are for."""

VIEWER_CORES: Final = 0.000_095
"""API: one viewer's events (by viewers)."""
FEED_CORES: Final = 0.000_69
"""API: reading one generation on one process (by generations, less its viewer)."""
GENERATION_CORES: Final = 0.002_6
"""Worker: one running generation (by generations)."""
WRITE_CORES: Final = 0.000_07
"""Redis: one generation's appends and renewals (by generations, less its reader)."""
READ_CORES: Final = 0.000_38
"""Redis: one generation's being read by one more process (by processes)."""

BUSY: Final = 0.6
"""How busy a core may be: above, delays grow, and there is no room for the viewers of a lost process."""
CORE_MONTH_USD: Final = 30
"""One core with 4 GB, on demand, in a large cloud."""
FRAME_BYTES: Final = 100
"""One small event with all that carries it."""
TRAFFIC_USD: Final = 0.03
"""Per GB out to the internet, at volume."""


class Size(NamedTuple):
    """What one load needs, in whole cores."""

    api: int
    workers: int
    redis: int
    usd: float


def size(viewers: int, generations: int, *, hashed: bool) -> Size:
    """`hashed`: all viewers of a generation are on one API process; else they are on all of them."""
    watching = viewers / generations
    api = viewers * VIEWER_CORES / BUSY
    feeds = float(generations)
    if not hashed:
        # More processes read each generation more often, which needs more processes: a few rounds converge.
        for _ in range(20):
            feeds = generations * min(watching, max(1.0, api))
            api = (viewers * VIEWER_CORES + feeds * FEED_CORES) / BUSY
    api = math.ceil((viewers * VIEWER_CORES + feeds * FEED_CORES) / BUSY)
    workers = math.ceil(generations * GENERATION_CORES / BUSY)
    redis = math.ceil((generations * WRITE_CORES + feeds * READ_CORES) / BUSY)
    # Each primary with a replica.
    return Size(api, workers, redis, (api + workers + 2 * redis) * CORE_MONTH_USD)


def main() -> None:
    rows = []
    for viewers, generations in ((10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000)):
        for hashed in (False, True):
            needed = size(viewers, generations, hashed=hashed)
            traffic = viewers * EVENTS_PER_S * FRAME_BYTES * 86_400 * 30 / 1e9 * TRAFFIC_USD
            name = f"{viewers:,} viewers of {generations:,}, {'one process each' if hashed else 'anywhere'}"
            cores = (f"{needed.api:,}", f"{needed.workers:,}", f"{needed.redis:,}")
            rows.append((name, [*cores, f"{needed.usd:,.0f}", f"{traffic:,.0f}"]))
    columns = ("API cores", "worker cores", "Redis primaries", "USD a month", "traffic, USD a month")
    print_table(f"Sizes at {EVENTS_PER_S} events/s and {BUSY:.0%} busy", columns, rows)


if __name__ == "__main__":
    main()
