"""All viewers come back at once: the load on Redis grows with API processes, not with viewers."""

import asyncio
import time

import pytest

from outlive.shared.model.cursor import START, Cursor
from tests.chaos.fault_run import FaultRun, WatchedAnswer
from tests.support.sse import open_events
from tests.support.transcript import Transcript

pytestmark = pytest.mark.anyio

FEW, MANY = 50, 500
PER_SECOND = 60
"""Commands of one process, however many viewers come: two commands at most every 50 ms for their cursors, and
whatever else runs meanwhile (sweeps, reads of new tokens)."""


async def storm(run: FaultRun, answer: WatchedAnswer, viewers: int) -> tuple[int, float]:
    """Let so many viewers resume at the same moment and see an event; return the commands and seconds it cost."""
    before, began = commands(run), time.monotonic()

    async def resume(number: int) -> None:
        url = run.deployment.stack.urls[number % 2]
        transcript = Transcript(answer.generation_id, f"viewer {number}")
        async with open_events(url, answer.generation_id, after=START if number % 3 else first(answer)) as stream:
            async for frame in stream:
                transcript.saw(frame)
                break
            assert transcript.frames, f"status {stream.status}"

    async with asyncio.TaskGroup() as tasks:
        for number in range(viewers):
            tasks.create_task(resume(number))
    return commands(run) - before, time.monotonic() - began


def commands(run: FaultRun) -> int:
    return sum(run.deployment.link(api).tap.command_count for api in run.deployment.apis)


def first(answer: WatchedAnswer) -> Cursor:
    """The cursor of the first event: to resume in the middle."""
    return Cursor.parse(answer.viewers[0].transcript.frames[0].id or "")


@pytest.mark.rule("R8")
@pytest.mark.fault(f"reconnect storm of {MANY} viewers")
async def test_a_reconnect_storm(run: FaultRun) -> None:
    """Ten times the viewers cost the same number of commands."""
    answer = await run.start_answer(pace_s=0.1, tokens=100)
    await run.wait_for_events(tokens=3)
    few, _ = await storm(run, answer, FEW)
    many, took_s = await storm(run, answer, MANY)
    run.notes["Redis commands for 50"] = few
    run.notes["for 500"] = many
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=12)
    assert many < few + PER_SECOND * (1 + took_s) * len(run.deployment.apis)
