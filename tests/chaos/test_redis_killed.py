"""Redis is killed and comes back with its AOF: answers pause, no attempt is lost, and no operator has to act."""

import asyncio
from collections.abc import Callable

import pytest

from tests.chaos.deployment import LEASE_S
from tests.chaos.fault_run import FaultRun
from tests.chaos.redis_tap import Command

pytestmark = pytest.mark.anyio

ANSWERS = 50
PACE_S, TOKENS = 0.03, 100


async def check_outage(run: FaultRun, away_s: float) -> None:
    """Fifty answers under way, and Redis away for this long; all complete in their first attempt."""
    for _ in range(ANSWERS):
        await run.start_answer(viewers=2, pace_s=PACE_S, tokens=TOKENS)
    await run.wait_for_events(tokens=2)
    run.fault_begins()
    run.deployment.redis.kill()
    # The outage itself: its length is what the test is about, and no process can be asked about leases meanwhile.
    await asyncio.sleep(away_s)
    await run.deployment.redis.start()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=PACE_S * TOKENS + away_s)
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in run.answers} == {("started",)}


@pytest.mark.rule("R7")
@pytest.mark.fault("Redis kill -9, back within the lease, 50 answers")
async def test_back_within_the_lease(run: FaultRun) -> None:
    """When Redis returns, no lease has run out."""
    await check_outage(run, 0.0)


@pytest.mark.rule("R7", "R10")
@pytest.mark.fault("Redis kill -9, back after two leases, 50 answers")
async def test_back_after_two_leases(run: FaultRun) -> None:
    """When Redis returns, all leases have run out: their owners renew them before another worker may take."""
    await check_outage(run, 2 * LEASE_S)


@pytest.mark.rule("R7")
@pytest.mark.fault("every Redis reply lost once")
async def test_every_reply_lost_once(run: FaultRun) -> None:
    """Redis runs each command of each process, and the reply never arrives; also those that open a connection."""
    for link in run.deployment.links:
        link.tap.drops_reply = once()
        link.proxy.cut()
    for _ in range(5):
        await run.start_answer(pace_s=0.02, tokens=40)
    run.fault_begins()
    await asyncio.gather(*(answer.watching for answer in run.answers))
    for tap in run.deployment.taps:
        tap.clear()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled()
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}


def once() -> Callable[[Command], bool]:
    """A command loses its reply the first time, and gets it when it is sent again."""
    lost: set[object] = set()

    def loses(command: Command) -> bool:
        new = command.identity not in lost
        lost.add(command.identity)
        return new

    return loses
