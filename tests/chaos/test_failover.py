"""A replica without the log's last events becomes the primary: the worker writes them again, byte for byte."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.fault_run import FaultRun, WatchedAnswer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str) -> AsyncIterator[Deployment]:
    """With a replica. A promotion uses it up."""
    async with Deployment(replica=True) as running:
        yield running


async def wait_until_replicated(run: FaultRun, answer: WatchedAnswer, events: int) -> None:
    """Wait until the replica has this many events of the log."""
    async with run.deployment.client(run.deployment.replica) as redis:

        async def has() -> bool:
            return bool(await redis.xlen(run.deployment.stack.keys.log(answer.generation_id)) >= events)

        await until(has, 10, f"{events} events on the replica")


def stop_replicating(run: FaultRun) -> None:
    """Make the promotion lose what Redis acknowledges from now on."""
    assert run.deployment.replication is not None
    run.deployment.replication.black_hole()


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("replica promoted without the last events, worker alive")
async def test_while_tokens_flow(run: FaultRun) -> None:
    """The next append finds the gap, and the worker fills it with the same ids and bytes."""
    answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=100)
    await run.wait_for_events(tokens=5)
    stop_replicating(run)
    await run.wait_for_events(tokens=15)
    run.fault_begins()
    await run.deployment.promote()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=2)
    assert answer.reasons == ["started"]
    assert run.notes["resets"] == 0


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("replica promoted without the last events, provider silent")
async def test_during_silence(run: FaultRun) -> None:
    """The worker appends nothing; its renewal finds that the log holds less than Redis acknowledged."""
    answer = await run.start_answer(pace_s=0, gate_after=20, wishes={"first_s": 0.5}, viewers=3)
    await wait_until_replicated(run, answer, 2)
    stop_replicating(run)
    await run.wait_for_events()
    run.fault_begins()
    await run.deployment.promote()
    run.fault_ends()
    late = await run.add_viewer(answer)
    await run.wait_for_events()
    assert late.transcript.reduce()["text"] == answer.viewers[0].transcript.reduce()["text"]
    await run.open_gates()
    await run.check_nothing_lost_or_doubled(recovered_by="event")
    assert answer.reasons == ["started"]
    assert run.notes["resets"] == 0


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("replica promoted without the last events, during a tool call")
async def test_during_a_tool_call(run: FaultRun) -> None:
    """The worker writes the pieces of the call again as they were."""
    answer = await run.start_answer(
        pace_s=0, tokens=None, gate_after=4, viewers=3, wishes={"first_s": 0.5, "tools": 1}, tools=[TOOL]
    )
    await wait_until_replicated(run, answer, 2)
    stop_replicating(run)
    await run.wait_for_events(kind="tool_call")
    run.fault_begins()
    await run.deployment.promote()
    run.fault_ends()
    await run.open_gates()
    await run.check_nothing_lost_or_doubled(recovered_by="event")
    assert answer.reasons == ["started"]
    assert run.notes["resets"] == 0


@pytest.mark.rule("R2", "R7")
@pytest.mark.fault("replica promoted without the `take`, worker alive")
async def test_without_the_take(run: FaultRun) -> None:
    """The log loses the attempt itself; the worker begins it again in the log as it was."""
    trap = run.deployment.trap_first_worker(lambda command: command.verb == "take")
    answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=100)
    await trap.worker()
    await wait_until_replicated(run, answer, 1)
    stop_replicating(run)
    trap.release()
    await run.wait_for_events(tokens=5)
    run.fault_begins()
    await run.deployment.promote()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event")
    assert answer.reasons == ["started"]


async def lose_tail_and_worker(run: FaultRun, **fields: Any) -> WatchedAnswer:
    """Viewers have seen events that no process can write again."""
    run.loss_allowed = True
    answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=100, **fields)
    await run.wait_for_events(tokens=5)
    owner = await run.deployment.owner(answer.generation_id)
    stop_replicating(run)
    await run.wait_for_events(tokens=15)
    run.fault_begins()
    owner.kill()
    await run.deployment.promote()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled()
    return answer


@pytest.mark.rule("R8")
@pytest.mark.fault("replica promoted without the last events, worker dead (these may be lost)")
async def test_with_its_worker(run: FaultRun) -> None:
    """All viewers see the new attempt; it replaces what they had of the lost one."""
    answer = await lose_tail_and_worker(run)
    assert (answer.snapshot["status"], answer.snapshot["attempt"]) == ("completed", 2)


@pytest.mark.rule("R8")
@pytest.mark.fault("replica promoted without the last events, worker dead, `on_interrupt: fail` (these may be lost)")
async def test_with_its_worker_and_no_restart(run: FaultRun) -> None:
    """`cut` says how much of what viewers have still counts: all keep the same text."""
    answer = await lose_tail_and_worker(run, on_interrupt="fail")
    assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "worker_lost")
    cuts = {viewer.transcript.terminal.data["cut"] for viewer in answer.viewers if viewer.transcript.terminal}
    assert len(cuts) == 1
