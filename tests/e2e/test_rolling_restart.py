"""Every process is replaced, one after the other, under load: no client behind the proxy notices."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from tests.support.invariants import check_invariants
from tests.support.nginx import Nginx
from tests.support.processes import OsProcess
from tests.support.raw_http import request
from tests.support.stack import QUICK, Stack, chat, demo
from tests.support.transcript import Mark, Transcript
from tests.support.viewer import Viewer, follow_all
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.long]

APIS = 3
WORKERS = 4
GENERATIONS = 200
VIEWERS = 3
WITHIN_S = 240.0
SPEAKS_FOR_S = 60
"""About as long as all restarts take, at a token a second; then each attempt waits at the gate."""


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    """Three API processes and four workers; each could carry all generations alone."""
    settings = {"slots": GENERATIONS, "drain_s": 1, "between_tokens_s": WITHIN_S}
    async with Stack(apis=APIS, workers=WORKERS, settings=settings) as running:
        yield running


async def ask_until(stop: asyncio.Event, url: str) -> tuple[int, list[str]]:
    """Create, read and cancel all the time; return how often, and which responses were wrong."""
    faults: list[str] = []
    for n in count():
        if stop.is_set():
            return n, faults
        try:
            made = await request("POST", f"{url}/v1/generations", body=chat(QUICK, f"Another {n}?"))
            if made.status != 201:
                faults.append(f"create {n}: {made}")
                continue
            self_url = f"{url}/v1/generations/{made.json()['id']}"
            read = await request("GET", self_url)
            ended = await request("POST", f"{self_url}/cancel")
            if (read.status, ended.status) != (200, 200):
                faults.append(f"read or cancel {n}: {read} {ended}")
        except (OSError, TimeoutError) as error:
            faults.append(f"request {n}: {error!r}")
    raise AssertionError("counting ended")


def faults_of(transcript: Transcript) -> list[str]:
    """Its connections that did not end cleanly."""
    notes = [str(entry) for entry in transcript.entries if isinstance(entry, Mark)]
    return [note for note in notes if not note.startswith(("-- connected", "-- ended clean"))]


async def replace(process: OsProcess) -> None:
    """As an orchestrator does: SIGTERM, wait for the end, start again, wait until ready."""
    process.terminate()
    assert await process.wait(30.0) == 0
    await process.start()


@pytest.mark.timeout(400)
async def test_every_process_is_replaced_and_nobody_notices(stack: Stack) -> None:
    """200 live generations with three viewers each: no failed request, nothing lost, and the same text for all."""
    model = demo(pace_s=1, tokens=SPEAKS_FOR_S + 5, gate="replaced", gate_after=SPEAKS_FOR_S)
    stop = asyncio.Event()
    async with Nginx([api.port for api in stack.apis]) as nginx, asyncio.TaskGroup() as tasks:
        creating = [tasks.create_task(stack.create(model, prompt=f"Question {n}?")) for n in range(GENERATIONS)]
        ids = [await task for task in creating]
        viewers = [
            Viewer(generation_id, [nginx.url], seed=seed, within_s=WITHIN_S)
            for generation_id in ids
            for seed in range(VIEWERS)
        ]
        following = tasks.create_task(follow_all(viewers))
        asking = tasks.create_task(ask_until(stop, nginx.url))

        def all_watch() -> bool:
            return all(any(frame.event == "token" for frame in viewer.transcript.frames) for viewer in viewers)

        await until(all_watch, 60.0, "600 viewers with a token", every_s=0.5)
        for process in (*stack.apis, *stack.workers):
            await replace(process)
        stop.set()
        asked, faults = await asking
        await stack.model.open_gate("replaced")
        transcripts = await following

    faults += [fault for transcript in transcripts for fault in faults_of(transcript)]
    assert faults == []
    assert asked > 0
    for n, generation_id in enumerate(ids):
        watched = transcripts[n * VIEWERS : (n + 1) * VIEWERS]
        snapshot = await stack.snapshot(generation_id)
        check_invariants(watched, snapshot, await stack.log(generation_id))
        assert snapshot["status"] == "completed"
    # Each viewer was sent away at least once, by the process on which it began.
    assert min(transcript.connections for transcript in transcripts) > 1
