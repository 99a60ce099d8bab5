"""Owns starting a coroutine here and now, and finishing it in a task only if it has to wait.

A feed gives a frame to a thousand viewers in one go. Nearly every write goes straight into the
socket's buffer; waking a task for each would cost as much again as the write. Python 3.12 has
eager tasks for this; 3.11, which we support, has not, and they allocate a task every time.

While it runs here `asyncio.current_task()` is the caller's, so up to its first wait the coroutine
must not use what depends on that: timeouts, Redis.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def start(coroutine: Coroutine[Any, None, None], tasks: set[asyncio.Task[None]]) -> None:
    """Run until done or until the first wait; then a task in `tasks` (its owner) goes on."""
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return
    task = asyncio.ensure_future(_finish(coroutine, waiting_for))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    # A task cancelled before its first step never gets to the coroutine, whose `finally` must run.
    task.add_done_callback(lambda _: coroutine.close())


async def _finish(coroutine: Coroutine[Any, None, None], waiting_for: Any) -> None:
    await _Continued(coroutine, waiting_for)


class _Continued:
    """Awaits the rest of a coroutine that has been started by hand."""

    __slots__ = ("_coroutine", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, None, None], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, None, None]:
        coroutine, waiting_for = self._coroutine, self._waiting_for
        try:
            while True:
                if waiting_for is not None:
                    # A future yielded to one driver says so; the task that goes on must see it too.
                    waiting_for._asyncio_future_blocking = True
                try:
                    yield waiting_for
                except BaseException as error:
                    waiting_for = coroutine.throw(error)
                else:
                    waiting_for = coroutine.send(None)
        except StopIteration:
            return
