"""A replica without the log's last events becomes the primary: the worker says them again, the same."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.trial import Answer, Trial
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
async def fleet(anyio_backend: str) -> AsyncIterator[Fleet]:
    """With a replica, which a promotion uses up."""
    async with Fleet(replica=True) as running:
        yield running


async def replicated(trial: Trial, answer: Answer, events: int) -> None:
    """Wait until the replica has so many events of this log."""
    async with trial.fleet.client(trial.fleet.replica) as redis:

        async def has() -> bool:
            return bool(await redis.xlen(trial.fleet.stack.keys.log(answer.generation_id)) >= events)

        await until(has, 10, f"{events} events on the replica")


def stop_replicating(trial: Trial) -> None:
    """What is acknowledged from now on will be lost."""
    assert trial.fleet.replication is not None
    trial.fleet.replication.black_hole()


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("replica promoted with a lost tail, worker alive")
async def test_while_tokens_flow(trial: Trial) -> None:
    """The next append finds the gap and fills it, with the same ids and bytes."""
    answer = await trial.begin(viewers=3, pace_s=0.02, tokens=100)
    await trial.seen(tokens=5)
    stop_replicating(trial)
    await trial.seen(tokens=15)
    trial.strike()
    await trial.fleet.promote()
    trial.heal()
    await trial.settle(by="event", answer_s=2)
    assert answer.reasons == ["started"]
    assert trial.notes["resets"] == 0


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("the same during silence")
async def test_during_silence(trial: Trial) -> None:
    """Nothing is appended; the renewal finds that the log holds less than was acknowledged."""
    answer = await trial.begin(pace_s=0, gate_after=20, wishes={"first_s": 0.5}, viewers=3)
    await replicated(trial, answer, 2)
    stop_replicating(trial)
    await trial.seen()
    trial.strike()
    await trial.fleet.promote()
    trial.heal()
    late = await trial.join(answer)
    await trial.seen()
    assert late.transcript.reduce()["text"] == answer.watchers[0].transcript.reduce()["text"]
    await trial.open()
    await trial.settle(by="event")
    assert answer.reasons == ["started"]
    assert trial.notes["resets"] == 0


@pytest.mark.rule("R1", "R2")
@pytest.mark.fault("the same during a tool call")
async def test_during_a_tool_call(trial: Trial) -> None:
    """Its pieces are said again as they were."""
    answer = await trial.begin(
        pace_s=0, tokens=None, gate_after=4, viewers=3, wishes={"first_s": 0.5, "tools": 1}, tools=[TOOL]
    )
    await replicated(trial, answer, 2)
    stop_replicating(trial)
    await trial.seen(kind="tool_call")
    trial.strike()
    await trial.fleet.promote()
    trial.heal()
    await trial.open()
    await trial.settle(by="event")
    assert answer.reasons == ["started"]
    assert trial.notes["resets"] == 0


@pytest.mark.rule("R2", "R7")
@pytest.mark.fault("replica promoted without the take, worker alive")
async def test_without_the_take(trial: Trial) -> None:
    """The attempt itself is lost, and begun again in the log as it was."""
    caught = trial.fleet.catch(lambda command: command.verb == "take")
    answer = await trial.begin(viewers=3, pace_s=0.02, tokens=100)
    await caught.worker()
    await replicated(trial, answer, 1)
    stop_replicating(trial)
    caught.free()
    await trial.seen(tokens=5)
    trial.strike()
    await trial.fleet.promote()
    trial.heal()
    await trial.settle(by="event")
    assert answer.reasons == ["started"]


async def lose_tail_and_worker(trial: Trial, **fields: Any) -> Answer:
    """Viewers have seen events that nobody can say again."""
    trial.not_promised = True
    answer = await trial.begin(viewers=3, pace_s=0.02, tokens=100, **fields)
    await trial.seen(tokens=5)
    owner = await trial.fleet.owner(answer.generation_id)
    stop_replicating(trial)
    await trial.seen(tokens=15)
    trial.strike()
    owner.kill()
    await trial.fleet.promote()
    trial.heal()
    await trial.settle()
    return answer


@pytest.mark.rule("R8")
@pytest.mark.fault("replica promoted with a lost tail, worker dead (the tail is not promised)")
async def test_with_its_worker(trial: Trial) -> None:
    """All see the new attempt, which takes back what they had of the lost one."""
    answer = await lose_tail_and_worker(trial)
    assert (answer.snapshot["status"], answer.snapshot["attempt"]) == ("completed", 2)


@pytest.mark.rule("R8")
@pytest.mark.fault("the same with `on_interrupt: fail` (the tail is not promised)")
async def test_with_its_worker_and_no_restart(trial: Trial) -> None:
    """`cut` says how much of what they have still counts: all keep the same text."""
    answer = await lose_tail_and_worker(trial, on_interrupt="fail")
    assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "worker_lost")
    cuts = {watcher.transcript.terminal.data["cut"] for watcher in answer.watchers if watcher.transcript.terminal}
    assert len(cuts) == 1
