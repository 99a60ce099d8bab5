"""The clocks of our processes are an hour off, either way: nobody notices, because Redis has one time."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.fault_run import FaultRun
from tests.chaos.test_worker_killed import check_recovery, kill_at_token
from tests.chaos.wrong_clocks import HOUR_S, shifted

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str) -> AsyncIterator[Deployment]:
    """No two clocks agree: one worker and one API process are ahead, the others behind."""
    made = Deployment()
    for processes in (made.workers, made.apis):
        for process, seconds in zip(processes, (HOUR_S, -HOUR_S), strict=True):
            process.environ |= shifted(seconds)
    async with made as running:
        yield running


@pytest.mark.rule("R10")
@pytest.mark.fault("workers' and API processes' clocks an hour off, both ways; a worker killed")
async def test_a_worker_dies_among_wrong_clocks(run: FaultRun) -> None:
    """Found and replaced as quickly as ever: whoever is early or late, Redis has one time."""
    assert await kill_at_token(run, 20) == ["started", "worker_lost"]
    check_recovery(run)


@pytest.mark.rule("R10")
@pytest.mark.fault("the same; a deadline")
async def test_a_deadline_among_wrong_clocks(run: FaultRun) -> None:
    """It comes when it was due, not an hour early or late."""
    answer = await run.start_answer(gate_after=5, pace_s=0, deadline_s=3)
    await run.wait_for_events()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=3)
    assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert answer.snapshot["finished_at"] - answer.snapshot["created_at"] > 2.9
