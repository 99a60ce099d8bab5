"""How often a process counts what waits, and that it never admits more than may wait."""

import asyncio

import pytest

from outlive.api.limits.queue_depth import QueueDepth
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Queue:
    """A queue of this length, how often it was counted, and a clock."""

    def __init__(self, length: int = 0) -> None:
        self.length = length
        self.counted = 0
        self.now = 100.0
        self.may_reply = asyncio.Event()
        self.may_reply.set()

    async def count(self) -> int:
        self.counted += 1
        await self.may_reply.wait()
        return self.length

    def depth(self, max_waiting: int) -> QueueDepth:
        return QueueDepth(self.count, max_waiting=max_waiting, clock=lambda: self.now)


async def admitted(depth: QueueDepth, queue: Queue, tries: int) -> int:
    """How many of so many were admitted; they wait from then on."""
    count = 0
    for _ in range(tries):
        if await depth.admits():
            count += 1
            queue.length += 1
    return count


@pytest.mark.rule("R57")
@pytest.mark.parametrize("max_waiting", [1, 2, 3, 100])
async def test_no_more_are_admitted_than_may_wait(max_waiting: int) -> None:
    """However small the limit."""
    queue = Queue()
    assert await admitted(queue.depth(max_waiting), queue, 2 * max_waiting) == max_waiting


async def test_far_from_the_limit_one_count_serves_many() -> None:
    """Each of them is added to it, so they cannot pass half of the limit on one count."""
    queue = Queue()
    depth = queue.depth(100)
    assert await admitted(depth, queue, 50) == 50
    assert queue.counted == 1
    assert await admitted(depth, queue, 10) == 10
    assert queue.counted == 11


@pytest.mark.rule("R57")
async def test_near_the_limit_it_is_counted_every_time() -> None:
    """Other processes admit as well, and workers take out."""
    queue = Queue(length=90)
    depth = queue.depth(100)
    assert await depth.admits()
    queue.length = 100
    assert not await depth.admits()
    queue.length = 60
    assert await depth.admits()


@pytest.mark.rule("R57")
async def test_requests_that_come_at_once_are_all_counted() -> None:
    """None of them is in the queue yet when the others learn how long it is."""
    queue = Queue()
    queue.may_reply.clear()
    depth = queue.depth(100)
    requests = [asyncio.create_task(depth.admits()) for _ in range(250)]
    await until(lambda: queue.counted == 250, 5.0, "all count")
    queue.may_reply.set()
    assert (await asyncio.gather(*requests)).count(True) == 100


@pytest.mark.rule("R57")
async def test_a_count_is_valid_for_a_second() -> None:
    """Other processes fill the queue as well."""
    queue = Queue()
    depth = queue.depth(100)
    assert await depth.admits()
    queue.length = 100
    queue.now += 0.9
    assert await depth.admits()
    queue.now += 0.2
    assert not await depth.admits()
