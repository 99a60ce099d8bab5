"""The way to Redis is hurt for one process or for all: partition, cut, half-close, latency, throttle."""

import asyncio

import pytest

from tests.chaos.trial import Trial

pytestmark = pytest.mark.anyio

WHILE_S = 2.0
"""How long links stay hurt."""


@pytest.mark.rule("R4", "R6")
@pytest.mark.fault("partition between one worker and Redis")
async def test_a_worker_is_partitioned(trial: Trial) -> None:
    """What it had said meanwhile arrives late, when another owns the log."""
    answer, owner = await trial.begin_stream()
    trial.strike()
    trial.fleet.link(owner).proxy.black_hole()
    await trial.fleet.owner(answer.generation_id, attempt=2)
    await trial.seen(tokens=3)
    trial.fleet.link(owner).proxy.heal()
    trial.heal()
    await trial.settle_one_writer(answer, owner)


@pytest.mark.rule("R8")
@pytest.mark.fault("partition between one API process and Redis")
async def test_an_api_process_is_partitioned(trial: Trial) -> None:
    """Its viewers wait and continue; those of the other notice nothing."""
    await trial.begin(viewers=10, pace_s=0.02, tokens=200)
    await trial.seen(tokens=3)
    link = trial.fleet.link(trial.fleet.apis[0])
    trial.strike()
    link.proxy.black_hole()
    await asyncio.sleep(WHILE_S)
    link.proxy.heal()
    trial.heal()
    await trial.settle(by="event", answer_s=4)


@pytest.mark.rule("R7")
@pytest.mark.fault("every connection to Redis cut, again and again")
async def test_all_links_are_cut(trial: Trial) -> None:
    """Reset every 50 to 300 ms: whatever was under way is said again."""
    for _ in range(5):
        await trial.begin(pace_s=0.02, tokens=150)
    await trial.seen()
    trial.strike()
    until = trial.struck_at + WHILE_S
    while asyncio.get_running_loop().time() < until:
        for link in trial.fleet.links:
            link.proxy.cut()
        await asyncio.sleep(trial.chance.uniform(0.05, 0.3))
    trial.heal()
    await trial.settle(by="event", answer_s=4)
    assert {answer.snapshot["status"] for answer in trial.answers} == {"completed"}


@pytest.mark.rule("R7")
@pytest.mark.fault("every connection to Redis half-closed")
async def test_all_links_are_half_closed(trial: Trial) -> None:
    """Redis sees the end of what its clients say."""
    for _ in range(5):
        await trial.begin(pace_s=0.02, tokens=100)
    await trial.seen()
    trial.strike()
    for link in trial.fleet.links:
        link.proxy.half_close()
    trial.heal()
    await trial.settle(by="event", answer_s=3)
    assert {answer.snapshot["status"] for answer in trial.answers} == {"completed"}


@pytest.mark.rule("R22")
@pytest.mark.fault("slow links: 50 ms more each way, 50 kB/s")
async def test_all_links_are_slow(trial: Trial) -> None:
    """Everything comes, later; no lease runs out."""
    for link in trial.fleet.links:
        link.proxy.latency_s = 0.05
        link.proxy.bytes_per_s = 50_000
    answers = [await trial.begin(pace_s=0.01, tokens=100) for _ in range(3)]
    trial.strike()
    trial.heal()
    await trial.settle(answer_s=3)
    assert {tuple(answer.reasons) for answer in answers} == {("started",)}
