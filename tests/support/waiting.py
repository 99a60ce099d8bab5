"""Owns how tests wait: for a condition, never for a fixed time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def until(
    condition: Callable[[], Awaitable[T | None]], within_s: float, what: str, *, every_s: float = ...
) -> T: ...
@overload
async def until(condition: Callable[[], T | None], within_s: float, what: str, *, every_s: float = ...) -> T: ...
async def until(condition: Callable[[], Any], within_s: float, what: str, *, every_s: float = 0.02) -> Any:
    """Call `condition` until it returns something true, and return that. Fails after `within_s`.

    Polling is right here: the condition depends on another process, which cannot notify us (a port that opens, a
    key that appears, a socket whose close was noticed). Polling costs at most one interval. A fixed time instead
    would make a test slow or flaky, or both.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + within_s
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        if loop.time() >= latest:
            raise AssertionError(f"not within {within_s:g} s: {what} (last result: {result!r})")
        await asyncio.sleep(every_s)
