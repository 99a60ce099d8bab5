"""More generations than slots: none is lost, none waits for ever, and no slot stays empty."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.viewer import Viewer, follow_all
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

GENERATIONS = 200
SLOTS = 50
WORKERS = 2


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two workers with a hundred slots between them."""
    async with Stack(workers=WORKERS, redis=redis_server, settings={"slots": SLOTS}) as running:
        yield running


async def create_many(stack: Stack, model: str) -> list[str]:
    """Create them all at once, each with its own prompt."""
    async with asyncio.TaskGroup() as tasks:
        creating = [tasks.create_task(stack.create(model, prompt=f"Question {n}?")) for n in range(GENERATIONS)]
    return [task.result() for task in creating]


@pytest.mark.timeout(180)
async def test_two_hundred_generations_on_a_hundred_slots_all_complete(stack: Stack) -> None:
    """All slots fill, and no more; then every viewer sees its own answer to the end."""
    model = demo(pace_s=0, tokens=30, gate="many", gate_after=1)
    ids = await create_many(stack, model)

    async def waiting() -> int:
        return sum(one["at_gate"] is not None for one in await stack.model.requests(model))

    async def full() -> bool:
        return await waiting() >= SLOTS * WORKERS

    await until(full, 30.0, "all slots at work", every_s=0.1)
    assert await waiting() == SLOTS * WORKERS
    await stack.model.open_gate("many")
    transcripts = await follow_all(Viewer(generation_id, stack.urls, within_s=120.0) for generation_id in ids)

    for generation_id, transcript in zip(ids, transcripts, strict=True):
        check_invariants([transcript], await stack.snapshot(generation_id), await stack.log(generation_id))
        assert transcript.reduce()["status"] == "completed"
    asked = [one["prompt"] for one in await stack.model.requests(model)]
    assert len(asked) == len(set(asked)) == GENERATIONS
