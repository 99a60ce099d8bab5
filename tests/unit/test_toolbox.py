"""Running tools: every call gets a result, whatever its tool does."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from outlive.shared.model.events import ToolCallDone, ToolResult
from outlive.worker.tools.tool import Tool
from outlive.worker.tools.tool_threads import ToolThreads
from outlive.worker.tools.toolbox import Toolbox, ToolLimits
from tests.support.hand_clock import HandClock

pytestmark = pytest.mark.anyio

LIMITS = ToolLimits(timeout_s=5.0, result_bytes=20, rounds=3)


async def add(a: int, b: int = 1) -> int:
    """The sum."""
    return a + b


def shout(text: str) -> str:
    """Not async: it runs in a thread."""
    return text.upper()


async def long() -> str:
    return "x" * 21


async def unwritable() -> object:
    return object()


async def leave() -> None:
    sys.exit(1)


async def broken() -> None:
    raise ValueError("no such city")


async def cancelled() -> None:
    raise asyncio.CancelledError


async def hang() -> None:
    await asyncio.Event().wait()


async def _run(
    function: Callable[..., Any], arguments: str, *, clock: HandClock | None = None, timeout_s: float | None = None
) -> ToolResult:
    """The result of one call."""
    tool = Tool.of(function, {} if timeout_s is None else {"timeout_s": timeout_s})
    emitted: list[ToolResult] = []

    async def emit(result: ToolResult) -> None:
        emitted.append(result)

    box = Toolbox({tool.name: tool}, ToolThreads(1), LIMITS, (clock or HandClock()).time)
    results = await box.run([ToolCallDone(0, "c", tool.name, arguments)], box.registry, emit)
    assert list(results.values()) == emitted
    return results["c"]


@pytest.mark.parametrize(
    ("function", "arguments", "content"),
    [(add, '{"a":1,"b":2}', "3"), (add, '{"a":1}', "2"), (shout, '{"text":"hey"}', "HEY")],
)
async def test_a_result_is_text_for_the_model(function: Callable[..., Any], arguments: str, content: str) -> None:
    """Async or in a thread, with defaults; what is not text becomes JSON."""
    result = await _run(function, arguments)
    assert (result.content, result.error) == (content, None)


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        (add, '{"a":"many"}', "The arguments are not valid. a: "),
        (add, "{", "The arguments are not valid. "),
        (add, '{"a":1,"c":2}', "The arguments are not valid. c: "),
        (long, "", "The result has 21 bytes; at most 20 are allowed."),
        (unwritable, "", "The tool returned something that cannot be written as JSON."),
        (leave, "", "SystemExit: 1"),
        (broken, "", "ValueError: no such city"),
        (cancelled, "", "The tool cancelled itself."),
    ],
)
async def test_whatever_a_tool_does_the_model_reads_an_error(
    function: Callable[..., Any], arguments: str, error: str
) -> None:
    """And the worker goes on."""
    result = await _run(function, arguments)
    assert result.content is None
    assert (result.error or "").startswith(error)


async def test_a_tool_that_hangs_is_stopped_in_time() -> None:
    """Its own timeout goes before the worker's."""
    result = await _run(hang, "", timeout_s=0.01)
    assert result.error == "The tool did not finish within 0.01 s."


async def test_the_duration_is_by_the_clock_handed_in() -> None:
    """In milliseconds."""
    clock = HandClock()

    async def slow() -> None:
        clock.advance(1.5)

    assert (await _run(slow, "", clock=clock)).duration_ms == 1500


async def test_calls_run_at_the_same_time_and_results_come_as_they_are_ready() -> None:
    """The second call's result is there before the first call's can be."""
    emitted: list[str] = []
    second_is_out = asyncio.Event()

    async def first() -> str:
        await second_is_out.wait()
        return "1"

    async def second() -> str:
        return "2"

    async def emit(result: ToolResult) -> None:
        emitted.append(result.id)
        second_is_out.set()

    tools = {tool.name: tool for tool in (Tool.of(first, {}), Tool.of(second, {}))}
    box = Toolbox(tools, ToolThreads(1), LIMITS, HandClock().time)
    calls = [ToolCallDone(0, "a", "first", ""), ToolCallDone(1, "b", "second", "")]
    results = await box.run(calls, tools, emit)
    assert emitted == ["b", "a"]
    assert {call_id: result.content for call_id, result in results.items()} == {"a": "1", "b": "2"}


async def test_when_nobody_wants_the_results_any_more_the_tools_are_stopped() -> None:
    """An attempt that lost its ownership raises from `emit`."""
    stopped = asyncio.Event()

    async def quick() -> str:
        return "1"

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def emit(_: ToolResult) -> None:
        await asyncio.sleep(0)
        raise LookupError

    tools = {tool.name: tool for tool in (Tool.of(quick, {}), Tool.of(stubborn, {}))}
    box = Toolbox(tools, ToolThreads(1), LIMITS, HandClock().time)
    calls = [ToolCallDone(0, "a", "quick", ""), ToolCallDone(1, "b", "stubborn", "")]
    with pytest.raises(LookupError):
        await box.run(calls, tools, emit)
    assert stopped.is_set()
