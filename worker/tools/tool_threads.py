"""Owns the threads that run functions which are not async.

They are not an executor's: Python waits for those when it ends, so a function that hangs would keep a worker from
stopping. A thread cannot be stopped either: its late result is dropped, and it counts against the bound until it ends.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


class ToolThreads:
    """At most so many functions at once; the others wait."""

    def __init__(self, max_threads: int) -> None:
        self._free = asyncio.Semaphore(max_threads)

    async def run(self, function: Callable[[], Any]) -> Any:
        """What `function` returns or raises, run in a thread of its own."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def finish(value: Any, error: BaseException | None) -> None:
            self._free.release()
            if not ended.done():
                # Not as the future's exception: that refuses StopIteration.
                ended.set_result((value, error))

        def work() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as raised:
                # Whatever it is, the caller gets it, and the semaphore must be released.
                error = raised
            # The loop may have ended before the function did.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, value, error)

        context = contextvars.copy_context()
        try:
            threading.Thread(target=context.run, args=(work,), name="tool", daemon=True).start()
        except RuntimeError:
            self._free.release()
            raise
        value, error = await ended
        if error is not None:
            raise error
        return value
