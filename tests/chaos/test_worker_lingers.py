"""A worker that was believed dead comes back, or is asked to stop: a log always has one writer at a time."""

import asyncio
import os
import signal

import pytest

from tests.chaos.blocked_loop import BLOCKED_S
from tests.chaos.deployment import LEASE_S
from tests.chaos.fault_run import SLACK_S, FaultRun, WatchedAnswer

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("worker SIGSTOP past its lease, then SIGCONT")
async def test_a_stopped_worker_comes_back_as_a_zombie(run: FaultRun) -> None:
    """It wakes up in the middle of its successor's attempt, with tokens in its socket."""
    answer, owner = await run.start_streaming_answer()
    run.fault_begins()
    owner.pause()
    await run.deployment.owner(answer.generation_id, attempt=2)
    await run.wait_for_events(tokens=3)
    owner.resume()
    run.fault_ends()
    await run.check_only_successor_wrote(answer, owner)


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("worker's event loop blocked for longer than its lease")
async def test_a_blocked_event_loop(run: FaultRun) -> None:
    """The process lives and its sockets are open, but nothing in it runs."""
    answer, owner = await run.start_streaming_answer()
    run.fault_begins()
    os.kill(owner.pid, signal.SIGUSR1)
    await run.deployment.owner(answer.generation_id, attempt=2)
    run.fault_ends()
    await run.check_only_successor_wrote(answer, owner)
    assert BLOCKED_S > LEASE_S


@pytest.mark.rule("R16")
@pytest.mark.fault("worker SIGTERM with enough time to drain")
async def test_a_drain_that_suffices(run: FaultRun) -> None:
    """Viewers notice nothing."""
    answer = await run.start_answer(gate_after=20, pace_s=0)
    await run.wait_for_events()
    owner = await run.deployment.owner(answer.generation_id)
    run.fault_begins()
    owner.terminate()
    await run.open_gates()
    await run.check_nothing_lost_or_doubled(recovered_by="event")
    assert await owner.wait(10) == 0
    assert answer.reasons == ["started"]


@pytest.mark.rule("R16")
@pytest.mark.fault("worker SIGTERM without time to drain, four times in a row")
async def test_four_hand_overs_in_a_row(run: FaultRun) -> None:
    """These are more attempts than may be lost: a hand-over does not count as a loss."""
    answer = await run.start_answer(gate_after=20, pace_s=0)
    for attempt in range(1, 5):
        owner = await run.deployment.owner(answer.generation_id, attempt)
        await run.wait_for_events()
        run.fault_begins()
        owner.terminate()
        await run.deployment.owner(answer.generation_id, attempt + 1)
        await owner.wait(10)
        await run.deployment.start_stopped(owner)
    run.fault_begins()
    await run.open_gates()
    await run.check_nothing_lost_or_doubled(recovered_by="event")
    assert answer.snapshot["status"] == "completed"
    assert answer.reasons == ["started", *["worker_shutdown"] * 4]


@pytest.mark.rule("R16")
@pytest.mark.fault("a generation that kills each of its workers")
async def test_a_poisonous_generation(run: FaultRun) -> None:
    """It fails after three attempts; others that ran on the same workers complete."""
    poison = await run.start_answer(gate_after=5, pace_s=0)
    others: list[WatchedAnswer] = []
    for attempt in range(1, 4):
        owner = await run.deployment.owner(poison.generation_id, attempt)
        others += [await run.start_answer(pace_s=0.02, tokens=20) for _ in range(2)]
        run.fault_begins()
        owner.kill()
        await run.deployment.start_stopped(owner)
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovering=[poison])
    assert (poison.snapshot["status"], poison.snapshot["error"]["code"]) == ("failed", "worker_lost")
    assert [other.snapshot["status"] for other in others] == ["completed"] * len(others)


@pytest.mark.rule("R24")
@pytest.mark.fault("all workers dead")
async def test_without_any_worker_the_deadline_ends_it(run: FaultRun) -> None:
    """Queued or running, every viewer gets `failed` at the deadline: the API processes end it alone."""
    running = await run.start_answer(gate_after=5, pace_s=0, deadline_s=3)
    await run.wait_for_events()
    run.fault_begins()
    for worker in run.deployment.workers:
        worker.kill()
    queued = await run.start_answer(pace_s=0, deadline_s=2)
    run.fault_ends()
    await asyncio.gather(running.watching, queued.watching)
    await run.check_nothing_lost_or_doubled(answer_s=3, slack_s=min(SLACK_S, 2))
    for answer in (running, queued):
        assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
