"""Everybody comes back at once: what Redis is asked grows with the processes, not with the viewers."""

import asyncio
import time

import pytest

from outlive.shared.model.cursor import START, Cursor
from tests.chaos.trial import Answer, Trial
from tests.support.sse import open_events
from tests.support.transcript import Transcript

pytestmark = pytest.mark.anyio

FEW, MANY = 50, 500
PER_SECOND = 60
"""Of one process, however many come: a look of two commands at most every 50 ms, and whatever else goes
on meanwhile (sweeps, the tokens' own reads)."""


async def storm(trial: Trial, answer: Answer, viewers: int) -> tuple[int, float]:
    """So many viewers resume at the same moment, and see an event; how many commands and seconds that cost."""
    before, began = commands(trial), time.monotonic()

    async def resume(number: int) -> None:
        url = trial.fleet.stack.urls[number % 2]
        transcript = Transcript(answer.generation_id, f"viewer {number}")
        async with open_events(url, answer.generation_id, after=START if number % 3 else first(answer)) as stream:
            async for frame in stream:
                transcript.saw(frame)
                break
            assert transcript.frames, f"status {stream.status}"

    async with asyncio.TaskGroup() as tasks:
        for number in range(viewers):
            tasks.create_task(resume(number))
    return commands(trial) - before, time.monotonic() - began


def commands(trial: Trial) -> int:
    return sum(trial.fleet.link(api).tap.commands for api in trial.fleet.apis)


def first(answer: Answer) -> Cursor:
    """The first event's cursor: a resume somewhere in the middle."""
    return Cursor.parse(answer.watchers[0].transcript.frames[0].id or "")


@pytest.mark.rule("R8")
@pytest.mark.fault(f"reconnect storm of {MANY} viewers")
async def test_a_reconnect_storm(trial: Trial) -> None:
    """Ten times the viewers, the same commands."""
    answer = await trial.begin(pace_s=0.1, tokens=100)
    await trial.seen(tokens=3)
    few, _ = await storm(trial, answer, FEW)
    many, took_s = await storm(trial, answer, MANY)
    trial.notes["Redis commands for 50"] = few
    trial.notes["for 500"] = many
    trial.heal()
    await trial.settle(answer_s=12)
    assert many < few + PER_SECOND * (1 + took_s) * len(trial.fleet.apis)
