"""Owns the threads that functions which are not async run in.

Not an executor's: Python waits for those at its end, and a function that hangs would keep a worker
that was told to stop. A thread cannot be stopped either; what it still brings is dropped, and it
counts against the bound until it ends.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


class ToolThreads:
    """At most so many functions at once; the others wait."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, function: Callable[[], Any]) -> Any:
        """What `function` returns or raises, run in a thread of its own."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            self._free.release()
            if not ended.done():
                # Not as the future's exception: that refuses StopIteration.
                ended.set_result((value, error))

        def work() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as raised:
                # Whatever it is, it belongs to whoever waits, and must free the place.
                error = raised
            # The loop may have ended before the function did.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, value, error)

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
