"""Starting a coroutine by hand: done at once, or finished by a task as if nothing had happened."""

import asyncio

import pytest

from outlive.api.fanout import eager_start

pytestmark = pytest.mark.anyio


async def test_what_need_not_wait_is_done_before_start_returns() -> None:
    """And costs no task."""
    done: list[int] = []
    tasks: set[asyncio.Task[None]] = set()

    async def work() -> None:
        done.append(1)

    eager_start.start(work(), tasks)
    assert (done, tasks) == ([1], set())


async def test_what_waits_is_finished_by_a_task() -> None:
    """Through any number of waits, on futures and on the loop, and its task is let go."""
    steps: list[object] = []
    tasks: set[asyncio.Task[None]] = set()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        steps.append("begun")
        steps.append(await gate)
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.sleep(0.001)
        steps.append("done")

    eager_start.start(work(), tasks)
    assert steps == ["begun"]
    (task,) = tasks
    gate.set_result("opened")
    await task
    assert (steps, tasks) == (["begun", "opened", "done"], set())


async def test_a_wait_that_fails_raises_where_it_was_awaited() -> None:
    """The coroutine can handle it."""
    caught: list[str] = []
    tasks: set[asyncio.Task[None]] = set()
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await gate
        except ConnectionError:
            caught.append("connection")

    eager_start.start(work(), tasks)
    gate.set_exception(ConnectionError())
    await asyncio.gather(*tasks)
    assert caught == ["connection"]


async def test_cancelling_the_task_cancels_the_coroutine() -> None:
    """So that its `finally` runs."""
    ended: list[bool] = []
    tasks: set[asyncio.Task[None]] = set()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    eager_start.start(work(), tasks)
    (task,) = tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_what_fails_at_once_raises_from_start() -> None:
    """Before any wait the caller is the one to know."""

    async def work() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        eager_start.start(work(), set())
