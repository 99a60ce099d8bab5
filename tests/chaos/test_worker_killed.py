"""A worker is killed at an exact moment: its viewers get a new attempt and the whole answer."""

from collections.abc import Callable

import pytest

from tests.chaos.deployment import LEASE_S
from tests.chaos.fault_run import FaultRun
from tests.chaos.redis_tap import Command

pytestmark = pytest.mark.anyio

PROMISED_S = LEASE_S + 2


def is_take(command: Command) -> bool:
    return command.verb == "take"


def is_terminal(command: Command) -> bool:
    return command.is_terminal


async def kill_at(run: FaultRun, matches: Callable[[Command], bool], *, after: bool = False) -> list[str]:
    """Kill the worker at its first matching command; return why each attempt began."""
    trap = run.deployment.trap_first_worker(matches, after=after)
    answer = await run.start_answer(pace_s=0)
    owner = await trap.worker()
    run.fault_begins()
    owner.kill()
    trap.drop()
    await run.check_nothing_lost_or_doubled()
    assert answer.snapshot["status"] == "completed"
    return answer.reasons


async def kill_at_token(run: FaultRun, tokens: int) -> list[str]:
    """Kill the worker once its provider has sent this many tokens and stopped; return why each attempt began."""
    answer = await run.start_answer(gate_after=tokens, pace_s=0)
    await run.wait_for_events()
    owner = await run.deployment.owner(answer.generation_id)
    run.fault_begins()
    owner.kill()
    await run.open_gates()
    await run.check_nothing_lost_or_doubled()
    assert answer.snapshot["status"] == "completed"
    return answer.reasons


def check_recovery(run: FaultRun) -> None:
    assert run.cost.recoveries_s
    assert max(run.cost.recoveries_s) < PROMISED_S


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL between claim and take")
async def test_between_claim_and_take(run: FaultRun) -> None:
    """Nothing in the log shows it: the sweep finds a generation that stays queued."""
    assert await kill_at(run, is_take) == ["started"]
    check_recovery(run)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL after take")
async def test_after_take(run: FaultRun) -> None:
    """The log has a new epoch to which no worker will ever write."""
    assert await kill_at(run, is_take, after=True) == ["started", "worker_lost"]


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL after the first token")
async def test_after_the_first_token(run: FaultRun) -> None:
    """The new attempt replaces what viewers had seen."""
    assert await kill_at_token(run, 1) == ["started", "worker_lost"]
    check_recovery(run)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL in the middle")
async def test_in_the_middle(run: FaultRun) -> None:
    """The same after thirty tokens."""
    assert await kill_at_token(run, 30) == ["started", "worker_lost"]
    check_recovery(run)


@pytest.mark.rule("R24")
@pytest.mark.fault("worker SIGKILL before the terminal")
async def test_before_the_terminal(run: FaultRun) -> None:
    """Only the terminal is missing: the answer begins again from its start."""
    assert await kill_at(run, is_terminal) == ["started", "worker_lost"]
    check_recovery(run)


@pytest.mark.rule("R5")
@pytest.mark.fault("worker SIGKILL after the terminal")
async def test_after_the_terminal(run: FaultRun) -> None:
    """The answer is complete; only the dead worker did not get its reply."""
    assert await kill_at(run, is_terminal, after=True) == ["started"]
