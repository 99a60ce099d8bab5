"""The queue plane loses or invents something: the log still knows, and the answer comes all the same."""

import json
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from outlive.shared.store.keyspace import Keys
from tests.chaos.fault_run import FaultRun
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Harm = Callable[[Redis, Keys, str], Awaitable[object]]


async def harmed(run: FaultRun, harm: Harm) -> None:
    """Do this to the queue plane between the enqueueing and the claim."""
    for worker in run.deployment.workers:
        worker.pause()
    answers = [await run.start_answer(pace_s=0, tokens=10, deadline_s=10) for _ in range(3)]
    run.fault_begins()
    async with run.deployment.client() as redis:
        for answer in answers:
            await harm(redis, run.deployment.stack.keys, answer.generation_id)
    for worker in run.deployment.workers:
        worker.resume()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled()
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}


def job_key(generation_id: str) -> str:
    return f"arq:job:{generation_id}:1"


@pytest.mark.rule("R21")
@pytest.mark.fault("arq's job expired")
async def test_a_job_expired(run: FaultRun) -> None:
    """Its id is still in the queue, and says all that is needed; arq gives it up."""
    await harmed(run, lambda redis, _, generation_id: redis.delete(job_key(generation_id)))


@pytest.mark.rule("R21")
@pytest.mark.fault("arq's job names an unknown function")
async def test_a_job_of_another_kind(run: FaultRun) -> None:
    """Written by another version, say."""

    async def rename(redis: Redis, _: Keys, generation_id: str) -> None:
        job = json.loads(await redis.get(job_key(generation_id)))
        await redis.set(job_key(generation_id), json.dumps({**job, "f": "something_else"}))

    await harmed(run, rename)


@pytest.mark.rule("R24")
@pytest.mark.fault("all keys of the queue plane deleted")
async def test_the_queue_is_deleted(run: FaultRun) -> None:
    """Queue, wakes, jobs, delivery numbers: everything but the log."""

    async def wipe(redis: Redis, keys: Keys, generation_id: str) -> None:
        arq = [key async for key in redis.scan_iter("arq:*")]
        await redis.delete(keys.queue, keys.wake, keys.delivery(generation_id), *arq)

    await harmed(run, wipe)


@pytest.mark.rule("R21")
@pytest.mark.fault("wake tokens lost")
async def test_wakes_are_lost(run: FaultRun) -> None:
    """An idle worker looks by itself after half a second."""
    await harmed(run, lambda redis, keys, _: redis.delete(keys.wake))


@pytest.mark.rule("R21")
@pytest.mark.fault("500 wake tokens too many")
async def test_surplus_wakes(run: FaultRun) -> None:
    """They cost a look each, and are gone."""

    async def push(redis: Redis, keys: Keys, _: str) -> None:
        await redis.rpush(keys.wake, *["1"] * 500)  # type: ignore[misc]  # typed for its synchronous client too

    await harmed(run, push)
    async with run.deployment.client() as redis:
        wake = run.deployment.stack.keys.wake

        async def gone() -> bool:
            return bool(await redis.llen(wake) == 0)  # type: ignore[misc]  # the same

        await until(gone, 30, "no wakes left")
