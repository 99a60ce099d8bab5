"""A generation is deleted, or its retention ends, while it is written or read: never a quiet hole."""

import pytest

from tests.chaos.trial import Answer, Trial
from tests.support.invariants import check_invariants
from tests.support.raw_http import request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def check_gone(trial: Trial, answer: Answer) -> None:
    """Everybody got a part without a hole, then the end that a delete writes first, or 410; nothing
    of it is in Redis."""
    check_invariants([watcher.transcript for watcher in answer.watchers], finished=False)
    for watcher in answer.watchers:
        terminal = watcher.transcript.terminal
        assert watcher.gone if terminal is None else terminal.event == "cancelled"
    async with trial.fleet.client() as redis:
        keys = trial.fleet.stack.keys
        assert await redis.exists(keys.log(answer.generation_id), keys.request(answer.generation_id)) == 0
    trial.notes["gone"] += 1


@pytest.mark.rule("R19")
@pytest.mark.fault("delete racing appends")
async def test_delete_races_appends(trial: Trial) -> None:
    """The late writer cannot bring it back, and lets its provider go."""
    answers = [await trial.begin(pace_s=0.005, tokens=1000) for _ in range(5)]
    await trial.seen()
    trial.strike()
    for answer in answers:
        url = trial.fleet.stack.urls[trial.chance.randrange(2)]
        assert (await request("DELETE", f"{url}/v1/generations/{answer.generation_id}")).status == 204
    trial.heal()
    for answer in answers:
        await answer.watching
        await check_gone(trial, answer)
        trial.toll.broken += await trial.zombies(answer)


@pytest.mark.rule("R23")
@pytest.mark.fault("retention expiring during paged reads")
async def test_retention_ends_during_reads(trial: Trial) -> None:
    """Viewers that read on slowly get all of it, or a part and then 410."""
    answer = await trial.begin(viewers=1, pace_s=0, tokens=3000, retention_s=0.5)
    slow = [await trial.join(answer, leaves=1000, leave_after=(50, 150), reconnect_s=(0.05, 0.1)) for _ in range(5)]
    trial.strike()
    trial.heal()
    await answer.watching

    async def gone() -> bool:
        url = f"{trial.fleet.stack.urls[0]}/v1/generations/{answer.generation_id}/events"
        return (await request("GET", url)).status == 410

    await until(gone, 10, "the end of its retention")
    check_invariants([watcher.transcript for watcher in answer.watchers], finished=False)
    for watcher in slow:
        assert watcher.gone != (watcher.transcript.terminal is not None)
        trial.notes["viewers told 410" if watcher.gone else "viewers at the end"] += 1
