"""The links to Redis fail for one process or for all: partition, cut, half-close, latency, throttle."""

import asyncio

import pytest

from tests.chaos.fault_run import FaultRun
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PARTITION_EVENTS = 100
"""The log grows by so many events during a partition: two seconds at the provider's pace."""

CUTS, BETWEEN_CUTS_S = 12, (0.05, 0.3)


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("partition between one worker and Redis")
async def test_a_worker_is_partitioned(run: FaultRun) -> None:
    """What the worker sent meanwhile arrives late, when another worker owns the log."""
    answer, owner = await run.start_streaming_answer()
    run.fault_begins()
    run.deployment.link(owner).proxy.black_hole()
    await run.deployment.owner(answer.generation_id, attempt=2)
    await run.wait_for_events(tokens=3)
    run.deployment.link(owner).proxy.heal()
    run.fault_ends()
    await run.check_only_successor_wrote(answer, owner)


@pytest.mark.rule("R8")
@pytest.mark.fault("partition between one API process and Redis")
async def test_an_api_process_is_partitioned(run: FaultRun) -> None:
    """Its viewers wait and then continue; those of the other process notice nothing."""
    answer = await run.start_answer(viewers=10, pace_s=0.02, tokens=200)
    await run.wait_for_events(tokens=3)
    link = run.deployment.link(run.deployment.apis[0])
    run.fault_begins()
    link.proxy.black_hole()
    events = len(await run.deployment.stack.log(answer.generation_id)) + PARTITION_EVENTS

    async def log_has_grown() -> bool:
        return len(await run.deployment.stack.log(answer.generation_id)) >= events

    await until(log_has_grown, 20, f"{PARTITION_EVENTS} more events in the log")
    link.proxy.heal()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=4)


@pytest.mark.rule("R7")
@pytest.mark.fault("every connection to Redis cut, again and again")
async def test_all_links_are_cut(run: FaultRun) -> None:
    """Reset every 50 to 300 ms: each process sends again what was under way."""
    for _ in range(5):
        await run.start_answer(pace_s=0.02, tokens=150)
    await run.wait_for_events()
    run.fault_begins()
    for _ in range(CUTS):
        for link in run.deployment.links:
            link.proxy.cut()
        # The rhythm of the fault itself: connections must have time to come back.
        await asyncio.sleep(run.chance.uniform(*BETWEEN_CUTS_S))
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=4)
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}


@pytest.mark.rule("R7")
@pytest.mark.fault("every connection to Redis half-closed")
async def test_all_links_are_half_closed(run: FaultRun) -> None:
    """Redis sees the end of what its clients send."""
    for _ in range(5):
        await run.start_answer(pace_s=0.02, tokens=100)
    await run.wait_for_events()
    run.fault_begins()
    for link in run.deployment.links:
        link.proxy.half_close()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=3)
    assert {answer.snapshot["status"] for answer in run.answers} == {"completed"}


@pytest.mark.rule("R22")
@pytest.mark.fault("slow links to Redis: 50 ms more each way, 50 kB/s")
async def test_all_links_are_slow(run: FaultRun) -> None:
    """Everything arrives later; no lease runs out."""
    for link in run.deployment.links:
        link.proxy.latency_s = 0.05
        link.proxy.bytes_per_s = 50_000
    answers = [await run.start_answer(pace_s=0.01, tokens=100) for _ in range(3)]
    run.fault_begins()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=3)
    assert {tuple(answer.reasons) for answer in answers} == {("started",)}
