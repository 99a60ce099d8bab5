"""Owns how the faults run: how often, from which seed, on which deployment, and the table at the end."""

import os
from collections.abc import AsyncIterator, Generator
from typing import Final

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.fault_run import FaultRun
from tests.chaos.fault_table import Row, show

RUNS: Final = int(os.environ.get("CHAOS_RUNS") or 1)
SEED: Final = int(os.environ.get("CHAOS_SEED") or 1)

_rows: Final[dict[str, Row]] = {}
_RUN: Final = pytest.StashKey[FaultRun]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every fault `CHAOS_RUNS` times."""
    if "run_number" in metafunc.fixturenames:
        metafunc.parametrize("run_number", range(RUNS))


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str) -> AsyncIterator[Deployment]:
    """Two API processes and two workers; a file that needs another deployment defines its own."""
    async with Deployment() as running:
        yield running


@pytest.fixture
async def run(deployment: Deployment, run_number: int, request: pytest.FixtureRequest) -> AsyncIterator[FaultRun]:
    """One run of one fault, on a deployment that works."""
    await deployment.repair()
    # Seeded by name, not by position in the file: a fault that runs alone has the same choices as among all others.
    made = FaultRun(deployment, f"{SEED} {run_number} {request.function.__name__}")
    request.node.stash[_RUN] = made
    yield made
    await made.stop_watching()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Count what a run cost, also if it failed. A cost fails the run."""
    made: FaultRun | None = None
    try:
        yield
    except Exception as error:
        if (made := item.stash.get(_RUN, None)) is not None:
            made.cost.broken.append(str(error))
            _count(item, made)
        raise
    if (made := item.stash.get(_RUN, None)) is not None:
        _count(item, made)
        cost = made.cost
        if cost.broken or cost.doubled or (cost.lost and not made.loss_allowed):
            pytest.fail(f"{cost.lost} lost, {cost.doubled} doubled\n" + "\n".join(cost.broken))


def _count(item: pytest.Item, made: FaultRun) -> None:
    marker = item.get_closest_marker("fault")
    assert marker is not None, f"{item.name} does not name its fault"
    name = marker.args[0]
    _rows.setdefault(name, Row(name)).add(made.cost, made.notes)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    if _rows:
        terminalreporter.ensure_newline()
        show(f"Faults, {RUNS} runs each from seed {SEED}", _rows.values())
