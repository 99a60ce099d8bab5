"""Owns the tasks that outlive a request: who holds them, and who sees them die.

Knows nothing of what they do.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Tasks:
    """All tasks of one process that belong to no single request."""

    def __init__(self) -> None:
        self._vital: set[asyncio.Task[None]] = set()
        self._finishing: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run for as long as the process serves."""
        task = asyncio.create_task(work, name=name)
        self._vital.add(task)
        task.add_done_callback(self._vital_ended)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled (its client left, the server stops): a
        command cut off half way would leave its reply to the next user of the connection."""
        return await asyncio.shield(self.begin(work))

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The same, for a caller that does not wait."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Stop what runs for ever, wait for what ends by itself."""
        for task in self._vital:
            task.remove_done_callback(self._vital_ended)
            task.cancel()
        await asyncio.gather(*self._vital, *self._finishing, return_exceptions=True)

    def _vital_ended(self, task: asyncio.Task[None]) -> None:
        self._vital.discard(task)
        log.critical("%s ended, so this process stops", task.get_name(), exc_info=task.exception())
        # The server's own way out: it drains, and whoever started this process starts another. To
        # go on would mean viewers that connect and never see an event.
        os.kill(os.getpid(), signal.SIGTERM)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._finishing.discard(task)
        if not task.cancelled():
            # Read here, because a caller that was cancelled will not: asyncio would complain later.
            task.exception()
