"""The clocks of our processes are an hour ahead or behind: nobody notices, because all use the time of Redis."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.fault_run import FaultRun
from tests.chaos.test_worker_killed import check_recovery, kill_at_token
from tests.chaos.wrong_clocks import HOUR_S, shifted

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str) -> AsyncIterator[Deployment]:
    """One worker and one API process are an hour ahead, the others an hour behind."""
    made = Deployment()
    for processes in (made.workers, made.apis):
        for process, seconds in zip(processes, (HOUR_S, -HOUR_S), strict=True):
            process.environ |= shifted(seconds)
    async with made as running:
        yield running


@pytest.mark.rule("R10")
@pytest.mark.fault("clocks of workers and API processes an hour off, a worker killed")
async def test_a_worker_dies_among_wrong_clocks(run: FaultRun) -> None:
    """The dead worker is found and replaced as quickly as with right clocks."""
    assert await kill_at_token(run, 20) == ["started", "worker_lost"]
    check_recovery(run)


@pytest.mark.rule("R10")
@pytest.mark.fault("clocks of workers and API processes an hour off, a deadline")
async def test_a_deadline_among_wrong_clocks(run: FaultRun) -> None:
    """The deadline ends the answer when it is due, not an hour early or late."""
    answer = await run.start_answer(gate_after=5, pace_s=0, deadline_s=3)
    await run.wait_for_events()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=3)
    assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert answer.snapshot["finished_at"] - answer.snapshot["created_at"] > 2.9
