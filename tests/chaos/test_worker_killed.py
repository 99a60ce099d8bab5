"""A worker is killed at an exact place: its viewers get a new attempt and the whole answer."""

from collections.abc import Callable

import pytest

from tests.chaos.fleet import LEASE_S
from tests.chaos.redis_tap import Command
from tests.chaos.trial import Trial

pytestmark = pytest.mark.anyio

PROMISED_S = LEASE_S + 2


def is_take(command: Command) -> bool:
    return command.verb == "take"


def is_terminal(command: Command) -> bool:
    return command.is_terminal


async def kill_at(trial: Trial, matches: Callable[[Command], bool], *, after: bool = False) -> list[str]:
    """Kill the worker at its first such command; why each attempt began."""
    caught = trial.fleet.catch(matches, after=after)
    answer = await trial.begin(pace_s=0)
    owner = await caught.worker()
    trial.strike()
    owner.kill()
    caught.lose()
    await trial.settle()
    assert answer.snapshot["status"] == "completed"
    return answer.reasons


async def kill_at_token(trial: Trial, tokens: int) -> list[str]:
    """Kill the worker once its provider has said so many tokens and stopped."""
    answer = await trial.begin(gate_after=tokens, pace_s=0)
    await trial.seen()
    owner = await trial.fleet.owner(answer.generation_id)
    trial.strike()
    owner.kill()
    await trial.open()
    await trial.settle()
    assert answer.snapshot["status"] == "completed"
    return answer.reasons


def check_recovery(trial: Trial) -> None:
    assert trial.toll.recoveries_s
    assert max(trial.toll.recoveries_s) < PROMISED_S


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL between claim and take")
async def test_between_claim_and_take(trial: Trial) -> None:
    """Nothing in the log tells of it: the sweep finds what stays queued."""
    assert await kill_at(trial, is_take) == ["started"]
    check_recovery(trial)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL after take")
async def test_after_take(trial: Trial) -> None:
    """The log has a new epoch that nobody will ever write to."""
    assert await kill_at(trial, is_take, after=True) == ["started", "worker_lost"]


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL after the first token")
async def test_after_the_first_token(trial: Trial) -> None:
    """The new attempt takes back what was shown."""
    assert await kill_at_token(trial, 1) == ["started", "worker_lost"]
    check_recovery(trial)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL in the middle")
async def test_in_the_middle(trial: Trial) -> None:
    """The same with a text."""
    assert await kill_at_token(trial, 30) == ["started", "worker_lost"]
    check_recovery(trial)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL before the terminal")
async def test_before_the_terminal(trial: Trial) -> None:
    """All was said but the end: that is said again, from the beginning."""
    assert await kill_at(trial, is_terminal) == ["started", "worker_lost"]
    check_recovery(trial)


@pytest.mark.rule("R5")
@pytest.mark.fault("worker SIGKILL after the terminal")
async def test_after_the_terminal(trial: Trial) -> None:
    """Nobody but the dead worker is missing anything."""
    assert await kill_at(trial, is_terminal, after=True) == ["started"]
