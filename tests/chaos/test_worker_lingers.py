"""A worker that was believed dead comes back, or is told to go: one writer at a time, always."""

import asyncio
import os
import signal

import pytest

from tests.chaos.blocked_loop import WEDGED_S
from tests.chaos.fleet import LEASE_S
from tests.chaos.trial import SLACK_S, Answer, Trial

pytestmark = pytest.mark.anyio


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("worker SIGSTOP past its lease, then SIGCONT")
async def test_a_stopped_worker_comes_back_as_a_zombie(trial: Trial) -> None:
    """It is woken in the middle of its successor's attempt, with tokens in its socket."""
    answer, owner = await trial.begin_stream()
    trial.strike()
    owner.pause()
    await trial.fleet.owner(answer.generation_id, attempt=2)
    await trial.seen(tokens=3)
    owner.resume()
    trial.heal()
    await trial.settle_one_writer(answer, owner)


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("worker's event loop blocked for longer than its lease")
async def test_a_blocked_event_loop(trial: Trial) -> None:
    """The process lives, its sockets are open, and nothing in it runs."""
    answer, owner = await trial.begin_stream()
    trial.strike()
    os.kill(owner.pid, signal.SIGUSR1)
    await trial.fleet.owner(answer.generation_id, attempt=2)
    trial.heal()
    await trial.settle_one_writer(answer, owner)
    assert WEDGED_S > LEASE_S


@pytest.mark.rule("R16")
@pytest.mark.fault("worker SIGTERM with time enough to drain")
async def test_a_drain_that_suffices(trial: Trial) -> None:
    """Viewers notice nothing."""
    answer = await trial.begin(gate_after=20, pace_s=0)
    await trial.seen()
    owner = await trial.fleet.owner(answer.generation_id)
    trial.strike()
    owner.terminate()
    await trial.open()
    await trial.settle(by="event")
    assert await owner.wait(10) == 0
    assert answer.reasons == ["started"]


@pytest.mark.rule("R16")
@pytest.mark.fault("worker SIGTERM without, four times in a row")
async def test_four_hand_overs_in_a_row(trial: Trial) -> None:
    """More attempts than may be lost: a hand-over is nobody's fault."""
    answer = await trial.begin(gate_after=20, pace_s=0)
    for attempt in range(1, 5):
        owner = await trial.fleet.owner(answer.generation_id, attempt)
        await trial.seen()
        trial.strike()
        owner.terminate()
        await trial.fleet.owner(answer.generation_id, attempt + 1)
        await owner.wait(10)
        await trial.fleet.revive(owner)
    trial.strike()
    await trial.open()
    await trial.settle(by="event")
    assert answer.snapshot["status"] == "completed"
    assert answer.reasons == ["started", *["worker_shutdown"] * 4]


@pytest.mark.rule("R16")
@pytest.mark.fault("a generation that kills each of its workers")
async def test_a_poisonous_generation(trial: Trial) -> None:
    """It fails after three attempts; others that ran beside it complete."""
    poison = await trial.begin(gate_after=5, pace_s=0)
    others: list[Answer] = []
    for attempt in range(1, 4):
        owner = await trial.fleet.owner(poison.generation_id, attempt)
        others += [await trial.begin(pace_s=0.02, tokens=20) for _ in range(2)]
        trial.strike()
        owner.kill()
        await trial.fleet.revive(owner)
    trial.heal()
    await trial.settle(recovering=[poison])
    assert (poison.snapshot["status"], poison.snapshot["error"]["code"]) == ("failed", "worker_lost")
    assert [other.snapshot["status"] for other in others] == ["completed"] * len(others)


@pytest.mark.rule("R24")
@pytest.mark.fault("all workers dead")
async def test_without_any_worker_the_deadline_ends_it(trial: Trial) -> None:
    """Queued or running: every viewer gets `failed` by the deadline, from the API processes alone."""
    running = await trial.begin(gate_after=5, pace_s=0, deadline_s=3)
    await trial.seen()
    trial.strike()
    for worker in trial.fleet.workers:
        worker.kill()
    queued = await trial.begin(pace_s=0, deadline_s=2)
    trial.heal()
    await asyncio.gather(running.watching, queued.watching)
    await trial.settle(answer_s=3, slack_s=min(SLACK_S, 2))
    for answer in (running, queued):
        assert (answer.snapshot["status"], answer.snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
