"""A generation is deleted, or its retention ends, while it is written or read: viewers never get a silent hole."""

import pytest

from tests.chaos.fault_run import FaultRun, WatchedAnswer
from tests.support.invariants import check_invariants
from tests.support.raw_http import request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def check_gone(run: FaultRun, answer: WatchedAnswer) -> None:
    """Every viewer got a part without a hole, then the terminal that a delete writes first, or 410; and Redis
    holds nothing of the generation."""
    check_invariants([viewer.transcript for viewer in answer.viewers], finished=False)
    for viewer in answer.viewers:
        terminal = viewer.transcript.terminal
        assert viewer.gone if terminal is None else terminal.event == "cancelled"
    async with run.deployment.client() as redis:
        keys = run.deployment.stack.keys
        assert await redis.exists(keys.log(answer.generation_id), keys.request(answer.generation_id)) == 0
    run.notes["gone"] += 1


@pytest.mark.rule("R19")
@pytest.mark.fault("delete racing appends")
async def test_delete_races_appends(run: FaultRun) -> None:
    """The late worker cannot bring the log back, and closes its upstream."""
    answers = [await run.start_answer(pace_s=0.005, tokens=1000) for _ in range(5)]
    await run.wait_for_events()
    run.fault_begins()
    for answer in answers:
        url = run.deployment.stack.urls[run.chance.randrange(2)]
        assert (await request("DELETE", f"{url}/v1/generations/{answer.generation_id}")).status == 204
    run.fault_ends()
    for answer in answers:
        await answer.watching
        await check_gone(run, answer)
        run.cost.broken += await run.find_zombie_writes(answer)


@pytest.mark.rule("R23")
@pytest.mark.fault("retention ends during paged reads")
async def test_retention_ends_during_reads(run: FaultRun) -> None:
    """Slow viewers get the whole answer, or a part and then 410."""
    answer = await run.start_answer(viewers=1, pace_s=0, tokens=3000, retention_s=0.5)
    slow = [await run.add_viewer(answer, leaves=1000, leave_after=(50, 150), reconnect_s=(0.05, 0.1)) for _ in range(5)]
    run.fault_begins()
    run.fault_ends()
    await answer.watching

    async def gone() -> bool:
        url = f"{run.deployment.stack.urls[0]}/v1/generations/{answer.generation_id}/events"
        return (await request("GET", url)).status == 410

    await until(gone, 10, "the end of its retention")
    check_invariants([viewer.transcript for viewer in answer.viewers], finished=False)
    for viewer in slow:
        assert viewer.gone != (viewer.transcript.terminal is not None)
        run.notes["viewers told 410" if viewer.gone else "viewers at the end"] += 1
