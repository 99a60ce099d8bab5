"""The promoted replica has another time than the old primary: epochs still rise, leases and deadlines hold."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.fault_run import FaultRun
from tests.chaos.wrong_clocks import HOUR_S, shifted

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str) -> AsyncIterator[Deployment]:
    """Its replica is an hour ahead of its primary."""
    async with Deployment(replica=True, replica_environ=shifted(HOUR_S)) as running:
        yield running


@pytest.mark.rule("R2", "R10")
@pytest.mark.fault("replica promoted with its clock an hour ahead, then one an hour back")
async def test_the_servers_clock_jumps(run: FaultRun) -> None:
    """The clock jumps forth and back in the middle of an answer: its attempt goes on, and new ones begin."""
    deployment = run.deployment
    for next_environ in ({}, shifted(HOUR_S)):
        answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=150)
        await run.wait_for_events(answer, tokens=5)
        run.fault_begins()
        await deployment.promote()
        run.fault_ends()
        await answer.watching
        deployment.replica_environ = next_environ
        await deployment.repair()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=4)
    assert [answer.reasons for answer in run.answers] == [["started"], ["started"]]
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}


@pytest.mark.rule("R10", "R24")
@pytest.mark.fault("replica promoted with its clock an hour off, worker dead (a deadline may pass early)")
async def test_the_servers_clock_jumps_and_the_worker_dies(run: FaultRun) -> None:
    """No process is left that knows how much time there was. If the clock jumps ahead, the deadline has passed.
    If it jumps back, lease and deadline are far in the future, but nobody waits for them."""
    deployment = run.deployment
    run.loss_allowed = True
    for next_environ in ({}, shifted(HOUR_S)):
        answer = await run.start_answer(viewers=2, pace_s=0.02, tokens=60)
        await run.wait_for_events(answer, tokens=5)
        owner = await deployment.owner(answer.generation_id)
        run.fault_begins()
        owner.kill()
        await deployment.promote()
        run.fault_ends()
        await answer.watching
        deployment.replica_environ = next_environ
        await deployment.repair()
    await run.check_nothing_lost_or_doubled()
    ahead, behind = run.answers
    assert (ahead.snapshot["status"], ahead.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert behind.snapshot["status"] == "completed"
    assert behind.reasons == ["started", "worker_lost"]
