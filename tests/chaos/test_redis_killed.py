"""Redis is killed and comes back with its AOF: answers pause, no attempt is lost, nobody helps."""

import asyncio
from collections.abc import Callable

import pytest

from tests.chaos.fleet import LEASE_S
from tests.chaos.redis_tap import Command
from tests.chaos.trial import Trial

pytestmark = pytest.mark.anyio

ANSWERS = 50
PACE_S, TOKENS = 0.03, 100


async def outage(trial: Trial, away_s: float) -> None:
    """Fifty answers under way, Redis gone for so long."""
    for _ in range(ANSWERS):
        await trial.begin(viewers=2, pace_s=PACE_S, tokens=TOKENS)
    await trial.seen(tokens=2)
    trial.strike()
    trial.fleet.redis.kill()
    # The outage itself: its length is what this is about.
    await asyncio.sleep(away_s)
    await trial.fleet.redis.start()
    trial.heal()
    await trial.settle(by="event", answer_s=PACE_S * TOKENS + away_s)
    assert {answer.snapshot["status"] for answer in trial.answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in trial.answers} == {("started",)}


@pytest.mark.rule("R7")
@pytest.mark.fault("Redis kill -9, back within the lease, 50 answers")
async def test_back_within_the_lease(trial: Trial) -> None:
    """Leases still run when it returns."""
    await outage(trial, 0.0)


@pytest.mark.rule("R7", "R10")
@pytest.mark.fault("Redis kill -9, back after two leases, 50 answers")
async def test_back_after_two_leases(trial: Trial) -> None:
    """All leases have run out when it returns: the owners renew before anybody may take."""
    await outage(trial, 2 * LEASE_S)


@pytest.mark.rule("R7")
@pytest.mark.fault("every Redis reply lost once")
async def test_every_reply_lost_once(trial: Trial) -> None:
    """Each command of each process is done, and its answer never comes; those a new connection begins with, too."""
    for link in trial.fleet.links:
        link.tap.loses = once()
        link.proxy.cut()
    for _ in range(5):
        await trial.begin(pace_s=0.02, tokens=40)
    trial.strike()
    await asyncio.gather(*(answer.watching for answer in trial.answers))
    for tap in trial.fleet.taps:
        tap.clear()
    trial.heal()
    await trial.settle()
    assert {answer.snapshot["status"] for answer in trial.answers} == {"completed"}


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
