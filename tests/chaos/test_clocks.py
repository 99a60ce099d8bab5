"""The clocks of our processes are an hour off, either way: nobody notices, because Redis has one time."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.clocks import HOUR_S, shifted
from tests.chaos.fleet import Fleet
from tests.chaos.test_worker_killed import check_recovery, kill_at_token
from tests.chaos.trial import Trial

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def fleet(anyio_backend: str) -> AsyncIterator[Fleet]:
    """No two clocks agree: one worker and one API process are ahead, the others behind."""
    made = Fleet()
    for processes in (made.workers, made.apis):
        for process, seconds in zip(processes, (HOUR_S, -HOUR_S), strict=True):
            process.environ |= shifted(seconds)
    async with made as running:
        yield running


@pytest.mark.rule("R10")
@pytest.mark.fault("workers' and API processes' clocks an hour off, both ways; a worker killed")
async def test_a_worker_dies_among_wrong_clocks(trial: Trial) -> None:
    """Found and replaced as quickly as ever: whoever is early or late, Redis has one time."""
    assert await kill_at_token(trial, 20) == ["started", "worker_lost"]
    check_recovery(trial)


@pytest.mark.rule("R10")
@pytest.mark.fault("the same; a deadline")
async def test_a_deadline_among_wrong_clocks(trial: Trial) -> None:
    """It comes when it was due, not an hour early or late."""
    answer = await trial.begin(gate_after=5, pace_s=0, deadline_s=3)
    await trial.seen()
    trial.heal()
    await trial.settle(answer_s=3)
    assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert answer.snapshot["finished_at"] - answer.snapshot["created_at"] > 2.9
