"""A worker is lost or stopped, or its provider breaks off, between tool calls: finished calls do not run again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo, unique
from tests.support.tools import calling, notes_in
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LEASE_S = 1.0


@contextlib.asynccontextmanager
async def _stack(redis: RedisServer, **settings: object) -> AsyncIterator[Stack]:
    settings = {"lease_s": LEASE_S, "tools": "tests.support.tools", "drain_s": 0.1, **settings}
    async with Stack(redis=redis, settings=settings) as stack:
        yield stack


class _Answer:
    """One watched answer under way with two tools; the second waits for `gate`."""

    def __init__(self, stack: Stack, model: str, generation_id: str, folder: Path) -> None:
        self.stack = stack
        self.model = model
        self.id = generation_id
        self.waits, self.gate = folder / "waits", folder / "gate"
        self._watching = asyncio.create_task(Viewer(generation_id, stack.urls, fold=False).follow())

    @classmethod
    async def begin(cls, stack: Stack, folder: Path, *tools: Any, **wishes: object) -> "_Answer":
        waiting = calling("wait", file=str(folder / "waits"), gate=str(folder / "gate"))
        model = demo(**{"pace_s": 0, "tools": len(tools) + 1, "seed": unique(), **wishes})
        return cls(stack, model, await stack.create(model, tools=[*tools, waiting]), folder)

    async def is_waiting(self, times: int, results: int) -> None:
        """Wait until the waiting tool has begun so often, and the latest attempt in the log has so many results."""

        async def reached() -> bool:
            snapshot = await self.stack.snapshot(self.id)
            return notes_in(self.waits).count("began") == times and len(snapshot["tool_results"]) == results

        await until(reached, LEASE_S + 10, f"attempt with {times} waits and {results} results", every_s=0.05)

    async def has_text(self) -> None:
        async def has_begun_text() -> bool:
            return bool((await self.stack.snapshot(self.id))["text"])

        await until(has_begun_text, 10, "the first text")

    async def ended(self) -> tuple[Transcript, dict[str, Any]]:
        """Let it go on to its end, and check what must hold for every answer."""
        self.gate.touch()
        transcript = await self._watching
        snapshot = await self.stack.closed(self.id)
        check_invariants([transcript], snapshot, await self.stack.log(self.id))
        assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "stop")
        return transcript, snapshot


async def _replace_killed(stack: Stack) -> None:
    """Start another worker, then kill the one that ran."""
    await stack.start_worker()
    stack.workers[-2].kill()


@pytest.mark.rule("R43")
@pytest.mark.parametrize("kills", [1, 2])
async def test_a_finished_call_of_a_killed_worker_is_not_run_again(
    redis_server: RedisServer, tmp_path: Path, kills: int
) -> None:
    """Its result is written again, a call without a result is run, and the model is not asked again for the calls. Also
    if the lost attempt had itself taken over results."""
    file = tmp_path / "notes"
    async with _stack(redis_server) as stack:
        answer = await _Answer.begin(stack, tmp_path, calling("note", file=str(file)))
        for kill in range(kills):
            await answer.is_waiting(kill + 1, results=1)
            await _replace_killed(stack)
        await answer.is_waiting(kills + 1, results=1)
        transcript, snapshot = await answer.ended()

        assert notes_in(file) == ["note"]
        assert snapshot["attempt"] == kills + 1
        assert {result["content"] for result in snapshot["tool_results"]} == {"noted", "waited"}
        assert "A tool said: noted\n\nA tool said: waited\n\n" in snapshot["text"]
        announced = [frame.data for frame in transcript.frames if frame.event == "tool_call_done"]
        assert len(announced) == 2 * (kills + 1)
        assert {call["id"] for call in announced} == {call["id"] for call in snapshot["tool_calls"]}
        assert len(await stack.model.requests(answer.model)) == 2


@pytest.mark.rule("R43")
async def test_a_repeatable_call_of_a_killed_worker_is_run_again(redis_server: RedisServer, tmp_path: Path) -> None:
    """Its result is new: the model had not seen the old one."""
    file = tmp_path / "notes"
    async with _stack(redis_server) as stack:
        answer = await _Answer.begin(stack, tmp_path, calling("note_again", file=str(file)))
        await answer.is_waiting(1, results=1)
        await _replace_killed(stack)
        await answer.is_waiting(2, results=1)
        _, snapshot = await answer.ended()

        assert notes_in(file) == ["again", "again"]
        assert len(snapshot["tool_results"]) == 2


@pytest.mark.rule("R43")
async def test_a_turn_without_any_result_is_asked_for_again(redis_server: RedisServer, tmp_path: Path) -> None:
    """Nobody knows whether all its calls were in the log."""
    async with _stack(redis_server) as stack:
        answer = await _Answer.begin(stack, tmp_path)
        await answer.is_waiting(1, results=0)
        await _replace_killed(stack)
        await answer.is_waiting(2, results=0)
        _, snapshot = await answer.ended()

        assert [result["content"] for result in snapshot["tool_results"]] == ["waited"]
        assert len(await stack.model.requests(answer.model)) == 3


@pytest.mark.rule("R43")
async def test_a_worker_that_is_stopped_hands_its_results_over(redis_server: RedisServer, tmp_path: Path) -> None:
    """The next worker goes on from there; the running call is cancelled."""
    file = tmp_path / "notes"
    async with _stack(redis_server) as stack:
        answer = await _Answer.begin(stack, tmp_path, calling("note", file=str(file)))
        await answer.is_waiting(1, results=1)
        await stack.start_worker()
        await stack.workers[0].stop()
        await answer.is_waiting(2, results=1)
        await answer.ended()

        assert notes_in(file) == ["note"]
        assert notes_in(answer.waits) == ["began", "cancelled", "began"]


@pytest.mark.rule("R43")
@pytest.mark.parametrize("lost", ["worker", "provider"])
async def test_what_breaks_in_the_answer_to_results_does_not_break_them(
    redis_server: RedisServer, tmp_path: Path, lost: str
) -> None:
    """The text so far is dropped, the rounds before it are kept; the model gets the same results."""
    file = tmp_path / "notes"
    async with _stack(redis_server) as stack:
        answer = await _Answer.begin(stack, tmp_path, calling("note", file=str(file)), pace_s=0.1, chars=40)
        answer.gate.touch()
        await answer.has_text()
        if lost == "worker":
            # In this order, because the model goes on producing tokens meanwhile.
            stack.workers[0].kill()
            await stack.start_worker()
        else:
            stack.model.kill()
            await stack.model.start()
        transcript, snapshot = await answer.ended()

        assert (notes_in(file), notes_in(answer.waits)) == (["note"], ["began"])
        assert snapshot["attempt"] == 2
        reasons = [frame.data["reason"] for frame in transcript.frames if frame.event == "attempt"]
        assert reasons == ["started", "worker_lost" if lost == "worker" else "upstream_interrupted"]
        assert "A tool said: noted\n\nA tool said: waited\n\n" in snapshot["text"]
