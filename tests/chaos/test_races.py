"""Two ends of the same generation race: one of them wins, and every reader names the same one."""

import asyncio
import os
from typing import Final

import pytest

from tests.chaos.fault_run import FaultRun, WatchedAnswer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

RACES: Final = 300 if int(os.environ.get("CHAOS_RUNS") or 1) > 1 else 20
AT_ONCE: Final = 10


async def race(run: FaultRun, max_s: float) -> WatchedAnswer:
    """A short answer, and a cancel at a random moment of its life; the response names the winner."""
    answer = await run.start_answer(viewers=1, pace_s=0.002, tokens=5)
    # The random moment at which this client cancels.
    await asyncio.sleep(run.chance.uniform(0, max_s))
    response = await run.deployment.stack.cancel(answer.generation_id, api=run.chance.randrange(2))
    transcript = (await answer.watching)[0]
    assert transcript.terminal is not None
    assert transcript.terminal.event == response["status"]
    return answer


async def races(run: FaultRun, max_s: float) -> set[str]:
    """Race so often, and return the ways in which the generations ended."""
    left = iter(range(RACES))

    async def runner() -> None:
        for _ in left:
            await race(run, max_s)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(runner())
    run.fault_ends()
    await run.check_nothing_lost_or_doubled()
    return {answer.snapshot["status"] for answer in run.answers}


@pytest.mark.rule("R5", "R18")
@pytest.mark.fault(f"{RACES} cancels racing completion")
async def test_cancel_races_completion(run: FaultRun) -> None:
    """The one that reached the log first wins."""
    assert await races(run, 0.08) <= {"cancelled", "completed"}


@pytest.mark.rule("R5", "R18")
@pytest.mark.fault(f"{RACES} cancels racing take")
async def test_cancel_races_take(run: FaultRun) -> None:
    """A worker does not begin a cancelled generation, or closes its upstream at once."""
    assert "cancelled" in await races(run, 0.004)
