"""The queue loses or invents something: the log still knows of the generation, and its answer completes."""

import json
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from outlive.shared.store.keyspace import Keys
from tests.chaos.fault_run import FaultRun
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Harm = Callable[[Redis, Keys, str], Awaitable[object]]


async def check_completed_despite(run: FaultRun, harm: Harm) -> None:
    """Harm the queue after the generation was enqueued and before it is claimed; it completes nevertheless."""
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
    """Its id is still in the queue, which is enough for a worker; arq gives the job up."""
    await check_completed_despite(run, lambda redis, _, generation_id: redis.delete(job_key(generation_id)))


@pytest.mark.rule("R21")
@pytest.mark.fault("arq's job names an unknown function")
async def test_a_job_of_another_kind(run: FaultRun) -> None:
    """For example a job that another version wrote."""

    async def rename(redis: Redis, _: Keys, generation_id: str) -> None:
        job = json.loads(await redis.get(job_key(generation_id)))
        await redis.set(job_key(generation_id), json.dumps({**job, "f": "something_else"}))

    await check_completed_despite(run, rename)


@pytest.mark.rule("R24")
@pytest.mark.fault("all keys of the queue plane deleted")
async def test_the_queue_is_deleted(run: FaultRun) -> None:
    """Queue, wakes, jobs and delivery numbers are gone: everything except the log."""

    async def wipe(redis: Redis, keys: Keys, generation_id: str) -> None:
        arq = [key async for key in redis.scan_iter("arq:*")]
        await redis.delete(keys.queue, keys.wake, keys.delivery(generation_id), *arq)

    await check_completed_despite(run, wipe)


@pytest.mark.rule("R21")
@pytest.mark.fault("wake tokens lost")
async def test_wakes_are_lost(run: FaultRun) -> None:
    """An idle worker reads the queue by itself after half a second."""
    await check_completed_despite(run, lambda redis, keys, _: redis.delete(keys.wake))


@pytest.mark.rule("R21")
@pytest.mark.fault("500 surplus wake tokens")
async def test_surplus_wakes(run: FaultRun) -> None:
    """Each costs a worker one read of the queue, and is then gone."""

    async def push(redis: Redis, keys: Keys, _: str) -> None:
        await redis.rpush(keys.wake, *["1"] * 500)  # type: ignore[misc]  # typed for its synchronous client too

    await check_completed_despite(run, push)
    async with run.deployment.client() as redis:
        wake = run.deployment.stack.keys.wake

        async def gone() -> bool:
            return bool(await redis.llen(wake) == 0)  # type: ignore[misc]  # the same

        await until(gone, 30, "no wakes left")
