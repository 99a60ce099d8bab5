"""The promoted replica has another time than the primary had: epochs still rise, leases and deadlines hold."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.clocks import HOUR_S, shifted
from tests.chaos.fleet import Fleet
from tests.chaos.trial import Trial

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def fleet(anyio_backend: str) -> AsyncIterator[Fleet]:
    """Its replica is an hour ahead of its primary."""
    async with Fleet(replica=True, replica_environ=shifted(HOUR_S)) as running:
        yield running


@pytest.mark.rule("R2", "R10")
@pytest.mark.fault("replica promoted whose clock is an hour ahead, then one an hour behind that")
async def test_the_servers_clock_jumps(trial: Trial) -> None:
    """Forth and back in the middle of an answer: the same attempt goes on, and new ones begin."""
    fleet = trial.fleet
    for next_environ in ({}, shifted(HOUR_S)):
        answer = await trial.begin(viewers=3, pace_s=0.02, tokens=150)
        await trial.seen(answer, tokens=5)
        trial.strike()
        await fleet.promote()
        trial.heal()
        await answer.watching
        fleet.replica_environ = next_environ
        await fleet.mend()
    await trial.settle(by="event", answer_s=4)
    assert [answer.reasons for answer in trial.answers] == [["started"], ["started"]]
    assert {answer.snapshot["status"] for answer in trial.answers} == {"completed"}


@pytest.mark.rule("R10", "R24")
@pytest.mark.fault("the same, and the worker dead (a deadline in the past is not promised)")
async def test_the_servers_clock_jumps_and_the_worker_dies(trial: Trial) -> None:
    """Nobody is left who knows how much time there was: ahead, the deadline has passed; behind, a lease
    and a deadline that now lie far ahead keep nobody waiting."""
    fleet = trial.fleet
    trial.not_promised = True
    for next_environ in ({}, shifted(HOUR_S)):
        answer = await trial.begin(viewers=2, pace_s=0.02, tokens=60)
        await trial.seen(answer, tokens=5)
        owner = await fleet.owner(answer.generation_id)
        trial.strike()
        owner.kill()
        await fleet.promote()
        trial.heal()
        await answer.watching
        fleet.replica_environ = next_environ
        await fleet.mend()
    await trial.settle()
    ahead, behind = trial.answers
    assert (ahead.snapshot["status"], ahead.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert behind.snapshot["status"] == "completed"
    assert behind.reasons == ["started", "worker_lost"]
