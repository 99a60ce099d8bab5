"""Tools that run when the answer ends: they are stopped, and later results are dropped."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique
from tests.support.tools import calling, notes_in
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

STOPPED_WITHIN_S = 1.0


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """A worker with one thread for tools."""
    settings = {"tools": "tests.support.tools", "tool_threads": 1, "tool_timeout_s": 20}
    async with Stack(redis=redis_server, settings=settings) as running:
        yield running


async def _begun(stack: Stack, file: Path, tool: str, **fields: Any) -> str:
    """An answer whose tool has begun and runs until `gate` exists."""
    entry = calling(tool, file=str(file), gate=str(file.parent / "gate"))
    generation_id = await stack.create(demo(pace_s=0, tools=1, seed=unique()), tools=[entry], **fields)
    await until(lambda: "began" in notes_in(file), 10, f"{tool} begun")
    return generation_id


@pytest.mark.rule("R42")
async def test_a_call_is_in_the_log_when_it_is_run(stack: Stack, tmp_path: Path) -> None:
    """Viewers see it before the tool can have any effect."""
    generation_id = await _begun(stack, tmp_path / "notes", "wait")
    assert [kind for _, kind, _ in await stack.log(generation_id)][-2:] == ["tool_call_done", "turn"]
    (tmp_path / "gate").touch()
    await stack.closed(generation_id)


@pytest.mark.rule("R18", "R42")
async def test_a_cancel_stops_a_running_tool(stack: Stack, tmp_path: Path) -> None:
    """At once, and nothing follows the terminal."""
    file = tmp_path / "notes"
    generation_id = await _begun(stack, file, "wait")
    await stack.cancel(generation_id)
    await until(lambda: notes_in(file) == ["began", "cancelled"], STOPPED_WITHIN_S, "the tool stopped")

    transcript = await Viewer(generation_id, stack.urls).follow()
    snapshot = await stack.snapshot(generation_id)
    check_invariants([transcript], snapshot, await stack.log(generation_id))
    assert (snapshot["status"], snapshot["tool_results"]) == ("cancelled", [])


@pytest.mark.rule("R42")
async def test_the_deadline_stops_a_running_tool(stack: Stack, tmp_path: Path) -> None:
    """It is for the whole answer, tools included."""
    file = tmp_path / "notes"
    snapshot = await stack.closed(await _begun(stack, file, "wait", deadline_s=1))

    assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert notes_in(file) == ["began", "cancelled"]


@pytest.mark.rule("R42")
async def test_a_thread_that_cannot_be_stopped_is_left_and_counted(stack: Stack, tmp_path: Path) -> None:
    """The answer is cancelled at once nevertheless; the thread is free for others only when it has ended."""
    file, other = tmp_path / "notes", tmp_path / "other"
    generation_id = await _begun(stack, file, "block")
    await stack.cancel(generation_id)
    ended = await stack.log(generation_id)

    waiting = await stack.create(demo(pace_s=0, tools=1, seed=unique()), tools=[calling("note", file=str(other))])

    async def is_called() -> bool:
        return any(kind == "tool_call_done" for _, kind, _ in await stack.log(waiting))

    await until(is_called, 10, "the other call")
    assert notes_in(other) == []
    (tmp_path / "gate").touch()
    snapshot = await stack.closed(waiting)

    assert notes_in(file) == ["began", "ended"]
    assert (notes_in(other), snapshot["tool_results"][0]["content"]) == (["note"], "noted")
    assert await stack.log(generation_id) == ended
