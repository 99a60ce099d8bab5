"""Owns how the faults are run: how often, from which seed, on which fleet, and the table at the end."""

import os
from collections.abc import AsyncIterator, Generator
from typing import Final

import pytest

from tests.chaos.figures import Row, show
from tests.chaos.fleet import Fleet
from tests.chaos.trial import Trial

RUNS: Final = int(os.environ.get("CHAOS_RUNS") or 1)
SEED: Final = int(os.environ.get("CHAOS_SEED") or 1)

_rows: Final[dict[str, Row]] = {}
_TRIAL: Final = pytest.StashKey[Trial]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every fault `CHAOS_RUNS` times."""
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", range(RUNS))


@pytest.fixture(scope="module")
async def fleet(anyio_backend: str) -> AsyncIterator[Fleet]:
    """Two API processes and two workers; a file that needs another fleet defines its own."""
    async with Fleet() as running:
        yield running


@pytest.fixture
async def trial(fleet: Fleet, run: int, request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    """One run of one fault, on a fleet that is whole."""
    await fleet.mend()
    # By name, not place in the file: a fault run alone meets the same chances as among all others.
    made = Trial(fleet, f"{SEED} {run} {request.function.__name__}")
    request.node.stash[_TRIAL] = made
    yield made
    await made.leave()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """What a run cost is counted also when it failed; and a cost is a failure."""
    made: Trial | None = None
    try:
        yield
    except Exception as error:
        if (made := item.stash.get(_TRIAL, None)) is not None:
            made.toll.broken.append(str(error))
            _count(item, made)
        raise
    if (made := item.stash.get(_TRIAL, None)) is not None:
        _count(item, made)
        toll = made.toll
        if toll.broken or toll.doubled or (toll.lost and not made.not_promised):
            pytest.fail(f"{toll.lost} lost, {toll.doubled} doubled\n" + "\n".join(toll.broken))


def _count(item: pytest.Item, made: Trial) -> None:
    marker = item.get_closest_marker("fault")
    assert marker is not None, f"{item.name} does not name its fault"
    name = marker.args[0]
    _rows.setdefault(name, Row(name)).add(made.toll, made.notes)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    if _rows:
        terminalreporter.ensure_newline()
        show(f"Faults, {RUNS} runs each from seed {SEED}", _rows.values())
