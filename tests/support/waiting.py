"""Owns how tests wait: for a condition, never for a time."""

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
    """Ask `condition` until it answers something true, and return that.

    Polling is right here because what is waited for lives in another process, which has no way
    to tell us: a port that opens, a key that appears, a socket its far end noticed. The interval
    costs at most itself; a test that took a fixed time instead would be slow or flaky, or both.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + within_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if loop.time() >= latest:
            raise AssertionError(f"not within {within_s:g} s: {what} (last answer: {answer!r})")
        await asyncio.sleep(every_s)
