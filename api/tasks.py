"""Owns the tasks that outlive a request: it keeps references to them, and notices when one ends.

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
    """The tasks of one process that do not belong to a single request."""

    def __init__(self) -> None:
        self._vital: set[asyncio.Task[None]] = set()
        self._finishing: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run for as long as the process serves."""
        task = asyncio.create_task(work, name=name)
        self._vital.add(task)
        task.add_done_callback(self._vital_ended)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled (its client left, the server stops), because a command
        that is cut off would leave its reply to the next user of the connection."""
        return await asyncio.shield(self.begin(work))

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The same, for a caller that does not wait."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Stop the tasks that run for ever, and wait for those that end by themselves."""
        for task in self._vital:
            task.remove_done_callback(self._vital_ended)
            task.cancel()
        await asyncio.gather(*self._vital, *self._finishing, return_exceptions=True)

    def _vital_ended(self, task: asyncio.Task[None]) -> None:
        self._vital.discard(task)
        log.critical("%s ended, so this process stops", task.get_name(), exc_info=task.exception())
        # With SIGTERM the server drains, and the supervisor starts another process. Without it, viewers would
        # connect and never see an event.
        os.kill(os.getpid(), signal.SIGTERM)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._finishing.discard(task)
        if not task.cancelled():
            # Read here, because a cancelled caller does not, and asyncio would log it as never retrieved.
            task.exception()
