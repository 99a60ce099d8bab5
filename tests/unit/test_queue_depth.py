"""How often a process asks what waits, and that it never lets in more than it may."""

import asyncio

import pytest

from outlive.api.limits.queue_depth import QueueDepth
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Queue:
    """So many wait, and so often was asked."""

    def __init__(self, length: int = 0) -> None:
        self.length = length
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def waiting(self) -> int:
        self.asked += 1
        await self.may_answer.wait()
        return self.length


async def let_in(backlog: QueueDepth, queue: Queue, tries: int) -> int:
    """How many of so many were let in, and wait since."""
    found = 0
    for _ in range(tries):
        if await backlog.admits():
            found += 1
            queue.length += 1
    return found


@pytest.mark.rule("R57")
@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_no_more_are_let_in_than_may_wait(most: int) -> None:
    """However small the limit."""
    queue = Queue()
    assert await let_in(QueueDepth(queue.waiting, most=most), queue, 2 * most) == most


async def test_far_from_the_limit_one_answer_serves_many() -> None:
    """And every one of them is counted, so that they cannot pass half of the limit on one answer."""
    queue = Queue()
    backlog = QueueDepth(queue.waiting, most=100)
    assert await let_in(backlog, queue, 50) == 50
    assert queue.asked == 1
    assert await let_in(backlog, queue, 10) == 10
    assert queue.asked == 11


@pytest.mark.rule("R57")
async def test_near_the_limit_it_is_asked_every_time() -> None:
    """Others let in as well, and workers take out."""
    queue = Queue(length=90)
    backlog = QueueDepth(queue.waiting, most=100)
    assert await backlog.admits()
    queue.length = 100
    assert not await backlog.admits()
    queue.length = 60
    assert await backlog.admits()


@pytest.mark.rule("R57")
async def test_those_who_come_at_once_are_all_counted() -> None:
    """Nobody is in the queue yet when the others are told how long it is."""
    queue = Queue()
    queue.may_answer.clear()
    backlog = QueueDepth(queue.waiting, most=100)
    asking = [asyncio.create_task(backlog.admits()) for _ in range(250)]
    await until(lambda: queue.asked == 250, 5.0, "all have asked")
    queue.may_answer.set()
    assert (await asyncio.gather(*asking)).count(True) == 100


@pytest.mark.rule("R57")
async def test_an_answer_serves_no_longer_than_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others fill the queue as well."""
    monkeypatch.setattr("outlive.api.limits.queue_depth._LOOK_S", 0.0)
    queue = Queue()
    backlog = QueueDepth(queue.waiting, most=100)
    assert await backlog.admits()
    queue.length = 100
    assert not await backlog.admits()
