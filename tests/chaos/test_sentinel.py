"""Queue and logs on servers that Sentinels watch: the primary is killed, and its replica takes over."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.external_redis import ExternalRedisDeployment
from tests.chaos.fault_run import FaultRun
from tests.support.sentinels import SentinelSet

pytestmark = pytest.mark.anyio

DOWN_AFTER_S = 1.0
FAILOVER_S = 15.0
"""How long Sentinels may take: about twice the time above, on cores that they share with everything here."""


@pytest.fixture(scope="module")
async def sentinels(anyio_backend: str) -> AsyncIterator[SentinelSet]:
    async with SentinelSet(down_after_s=DOWN_AFTER_S) as running:
        yield running


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str, sentinels: SentinelSet) -> AsyncIterator[ExternalRedisDeployment]:
    """One address serves for both, queue and logs."""
    async with ExternalRedisDeployment(sentinels.url, sentinels.url, sentinels.repair) as running:
        yield running


@pytest.mark.long
@pytest.mark.rule("R1", "R2", "R7")
@pytest.mark.fault("Sentinel: the primary killed, 100 answers")
async def test_the_primary_killed(run: FaultRun, sentinels: SentinelSet) -> None:
    """All answers pause and nothing is lost; a new generation afterwards completes."""
    answers = [await run.start_answer(viewers=1, pace_s=0.05, tokens=120) for _ in range(100)]
    await run.wait_for_events(tokens=2)
    dead = await sentinels.primary()
    run.fault_begins()
    dead.kill()
    await sentinels.promoted(dead)
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=0.05 * 120 + FAILOVER_S)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in answers} == {("started",)}
    assert run.notes["resets"] == 0
    assert (await run.deployment.stack.closed(await run.deployment.stack.create("demo;pace_s=0")))[
        "status"
    ] == "completed"
