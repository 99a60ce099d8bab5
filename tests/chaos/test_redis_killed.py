"""Redis is killed and comes back with its AOF: answers pause, no attempt is lost, nobody helps."""

import asyncio
from collections.abc import Callable

import pytest

from tests.chaos.deployment import LEASE_S
from tests.chaos.fault_run import FaultRun
from tests.chaos.redis_tap import Command

pytestmark = pytest.mark.anyio

ANSWERS = 50
PACE_S, TOKENS = 0.03, 100


async def outage(run: FaultRun, away_s: float) -> None:
    """Fifty answers under way, Redis gone for so long."""
    for _ in range(ANSWERS):
        await run.start_answer(viewers=2, pace_s=PACE_S, tokens=TOKENS)
    await run.wait_for_events(tokens=2)
    run.fault_begins()
    run.deployment.redis.kill()
    # The outage itself: its length is what this is about.
    await asyncio.sleep(away_s)
    await run.deployment.redis.start()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=PACE_S * TOKENS + away_s)
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in run.answers} == {("started",)}


@pytest.mark.rule("R7")
@pytest.mark.fault("Redis kill -9, back within the lease, 50 answers")
async def test_back_within_the_lease(run: FaultRun) -> None:
    """Leases still run when it returns."""
    await outage(run, 0.0)


@pytest.mark.rule("R7", "R10")
@pytest.mark.fault("Redis kill -9, back after two leases, 50 answers")
async def test_back_after_two_leases(run: FaultRun) -> None:
    """All leases have run out when it returns: the owners renew before anybody may take."""
    await outage(run, 2 * LEASE_S)


@pytest.mark.rule("R7")
@pytest.mark.fault("every Redis reply lost once")
async def test_every_reply_lost_once(run: FaultRun) -> None:
    """Each command of each process is done, and its answer never comes; those a new connection begins with, too."""
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
    """The first time a command is said its reply is lost; said again it is answered. Of the reads at
    the live end, which are never the same twice, every other one."""
    said: set[object] = set()

    def loses(command: Command) -> bool:
        if command.verb == "xread":
            said.symmetric_difference_update({"xread"})
            return "xread" in said
        new = command.identity not in said
        said.add(command.identity)
        return new

    return loses
