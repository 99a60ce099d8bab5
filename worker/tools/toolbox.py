"""Owns running the tools: several at once, each within its time, and always to a result.

If a tool raises, hangs or returns too much, that becomes an error that the model can read. Knows nothing of logs and
providers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final

from outlive.shared.model.events import ToolCallDone, ToolResult
from outlive.worker.timers import Clock
from outlive.worker.tools.tool import Tool, ToolFailed, text_of
from outlive.worker.tools.tool_modules import Registry
from outlive.worker.tools.tool_threads import ToolThreads

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
"""Of one answer: if a model makes a thousand calls, they do not all run at once."""
_STOP_S: Final = 1.0
"""How long a cancelled tool may take to clean up, before we stop waiting for it."""
_ERROR_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class ToolLimits:
    timeout_s: float
    result_bytes: int
    rounds: int
    """How often one answer may run tools; the attempt counts."""


class Toolbox:
    """All tools of this worker. One instance per process."""

    def __init__(self, registry: Registry, threads: ToolThreads, limits: ToolLimits, clock: Clock) -> None:
        self.registry = registry
        self.limits = limits
        self._threads = threads
        self._clock = clock
        self._running: set[asyncio.Task[str]] = set()
        """Also tasks that outlive their call: asyncio may drop a task without a reference while it runs."""

    async def run(
        self, calls: Sequence[ToolCallDone], tools: Registry, emit: Callable[[ToolResult], Awaitable[None]]
    ) -> dict[str, ToolResult]:
        """Run these calls of `tools` at the same time, `emit` each result when it comes, and return them by call id.

        When this is cancelled, or when `emit` raises, the tools that still run are stopped.
        """
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(call: ToolCallDone) -> ToolResult:
            async with at_once:
                return await self._result(tools[call.name], call)

        running = [asyncio.create_task(one(call), name=f"tool {call.name}") for call in calls]
        results: dict[str, ToolResult] = {}
        try:
            for coming in asyncio.as_completed(running):
                result = await coming
                results[result.id] = result
                await emit(result)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return results

    async def _result(self, tool: Tool, call: ToolCallDone) -> ToolResult:
        began = self._clock()
        content = error = None
        try:
            content = await self._within_time(tool, tool.validated(call.arguments))
            if (size := len(content.encode("utf-8", "surrogatepass"))) > self.limits.result_bytes:
                content, error = None, f"The result has {size} bytes; at most {self.limits.result_bytes} are allowed."
        except ToolFailed as failed:
            error = str(failed)[:_ERROR_CHARS]
        return ToolResult(call.id, call.name, content, error, round((self._clock() - began) * 1000))

    async def _within_time(self, tool: Tool, arguments: dict[str, Any]) -> str:
        """Run it in a task of its own, because a tool may ignore that it is cancelled."""
        timeout_s = tool.options.timeout_s or self.limits.timeout_s
        running = asyncio.create_task(self._call(tool, arguments), name=f"running {tool.name}")
        self._running.add(running)
        running.add_done_callback(self._forget)
        try:
            await asyncio.wait({running}, timeout=timeout_s)
            if not running.done():
                raise ToolFailed(f"The tool did not finish within {timeout_s:g} s.")
            if running.cancelled():
                raise ToolFailed("The tool cancelled itself.")
            return running.result()
        finally:
            running.cancel()
            await asyncio.wait({running}, timeout=_STOP_S)
            if not running.done():
                log.warning("tool %s does not stop; its late result will be dropped", tool.name)

    async def _call(self, tool: Tool, arguments: dict[str, Any]) -> str:
        try:
            if iscoroutinefunction(tool.function):
                return text_of(await tool.function(**arguments))
            return str(await self._threads.run(lambda: text_of(tool.function(**arguments))))
        except (ToolFailed, asyncio.CancelledError):
            raise
        except BaseException as error:
            # Also sys.exit(): a tool may not end the worker.
            log.warning("tool %s raised", tool.name, exc_info=error)
            raise ToolFailed(f"{type(error).__name__}: {error}") from error

    def _forget(self, ended: asyncio.Task[str]) -> None:
        self._running.discard(ended)
        if not ended.cancelled():
            # Read it, so that asyncio does not report a late exception as never retrieved.
            ended.exception()
