"""What 1,000 viewers that come at once to 1,000 logs wait for, and cost others: `python -m tests.bench.burst [N]`.

All answers run already, as after an API process was lost. 20 more answers of 10 tokens a second have a viewer each from
the start: theirs is the latency of the others. API, worker and Redis share the first core.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.bench.growth import Viewer, lateness_within, stamping_stack
from tests.bench.stamping_model import stamped
from tests.bench.table import percentile, print_table
from tests.support.stack import Stack, chat
from tests.support.waiting import until

LOGS: Final = 1_000
_OTHERS: Final = 20
_OTHERS_PACE_S: Final = 0.1
_LOG_PACE_S: Final = 5.0
_CREATED_AT_ONCE: Final = 10
_QUIET_S: Final = 5.0
_WITHIN_S: Final = 60.0
_LIFE_S: Final = 300.0


class Burst(NamedTuple):
    """Of one burst."""

    first_s: list[float]
    """Of each viewer: from the burst to its first event."""
    quiet_s: list[float]
    """Lateness of the others' tokens before it."""
    meanwhile_s: list[float]
    """The same until every viewer had its first event."""


async def burst(count: int) -> Burst:
    """One burst."""
    async with stamping_stack(slots=count + _OTHERS) as (stack, _):
        other = chat(stamped(tokens=int(_LIFE_S / _OTHERS_PACE_S), pace_s=_OTHERS_PACE_S))
        others = [await Viewer("/v1/generations", other).open(stack.urls[0]) for _ in range(_OTHERS)]
        ids = await _created(stack, count)
        await until(lambda: all(viewer.lateness_s for viewer in others), _WITHIN_S, "a token at the others")
        # The windows themselves: first without the burst, then with it.
        await lateness_within(others, _QUIET_S)
        quiet_s = await lateness_within(others, _QUIET_S)
        before = [len(viewer.lateness_s) for viewer in others]
        began = time.time()
        opening = [Viewer(f"/v1/generations/{each}/events").open(stack.urls[0]) for each in ids]
        viewers = await asyncio.gather(*opening)
        await until(lambda: all(viewer.first_s is not None for viewer in viewers), _WITHIN_S, "a first event for all")
        meanwhile_s = [
            late_s for viewer, seen in zip(others, before, strict=True) for late_s in viewer.lateness_s[seen:]
        ]
        first_s = [viewer.opened_at + viewer.first_s - began for viewer in viewers if viewer.first_s is not None]
        for viewer in (*others, *viewers):
            viewer.close()
    return Burst(first_s, quiet_s, meanwhile_s)


async def _created(stack: Stack, count: int) -> list[str]:
    body = chat(stamped(tokens=int(_LIFE_S / _LOG_PACE_S), pace_s=_LOG_PACE_S))
    ids: list[str] = []
    while len(ids) < count:
        responses = await asyncio.gather(*(stack.post(body) for _ in range(min(_CREATED_AT_ONCE, count - len(ids)))))
        ids += [response.json()["id"] for response in responses]
    return ids


def report(count: int, run: Burst) -> None:
    """Print both figures."""
    rows = [
        (f"{count:,} viewers of {count:,} logs: burst to first event", _cells(run.first_s)),
        ("others' tokens meanwhile: lateness", _cells(run.meanwhile_s)),
        ("others' tokens before: lateness", _cells(run.quiet_s)),
    ]
    print_table("A burst of viewers", ("p50 ms", "p99 ms", "max ms"), rows)


def _cells(values_s: Sequence[float]) -> list[str]:
    return [f"{1000 * value:.0f}" for value in (percentile(values_s, 50), percentile(values_s, 99), max(values_s))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.burst", description=__doc__)
    parser.add_argument("logs", nargs="?", type=int, default=LOGS, help="how many logs, with a viewer each")
    logs = parser.parse_args().logs
    report(logs, asyncio.run(burst(logs)))
