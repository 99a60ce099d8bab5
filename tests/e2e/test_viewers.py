"""Many viewers of one answer: each sees all of it once, wherever it was cut and whichever others left."""

import random
from collections.abc import AsyncIterator

import pytest

from outlive.shared.model.cursor import Cursor
from tests.support.invariants import check_invariants
from tests.support.raw_http import Ended
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, demo
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer, follow_all

pytestmark = pytest.mark.anyio

VIEWERS = 50


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes on their own ports, and one worker."""
    async with Stack(apis=2, redis=redis_server) as running:
        yield running


async def check_all(stack: Stack, generation_id: str, transcripts: list[Transcript]) -> None:
    """Compare the transcripts with each other, with the snapshots of both processes, and with the log."""
    log = await stack.log(generation_id)
    for api in range(len(stack.apis)):
        check_invariants(transcripts, await stack.snapshot(generation_id, api=api), log)


@pytest.mark.rule("R1")
@pytest.mark.rule("R2")
@pytest.mark.rule("R5")
async def test_fifty_viewers_cut_at_random_points_all_see_the_same_answer(stack: Stack) -> None:
    """Each is cut several times and resumes on the other process; half fold, half do not."""
    generation_id = await stack.create(demo(pace_s=0.008, tokens=500, reasoning=20))
    viewers = [
        Viewer(
            generation_id,
            stack.urls,
            seed=seed,
            fold=False if seed % 2 else None,
            leaves=4,
            leave_after=(1, 120),
            reconnect_s=(0.0, 0.3),
        )
        for seed in range(1, VIEWERS + 1)
    ]
    transcripts = await follow_all(viewers)
    late = [
        Viewer(generation_id, [url], name=f"late at {url}, fold {fold}", fold=fold)
        for url in stack.urls
        for fold in (False, None)
    ]
    transcripts += await follow_all(late)

    assert all(transcript.connections > 1 for transcript in transcripts[:VIEWERS])
    assert sum(transcript.resets for transcript in transcripts) == 0
    await check_all(stack, generation_id, transcripts)
    assert {transcript.reduce()["status"] for transcript in transcripts} == {"completed"}


@pytest.mark.rule("R9")
@pytest.mark.parametrize("fold", [False, None], ids=["unfolded", "folded"])
async def test_a_late_joiner_sees_the_answer_from_the_start(stack: Stack, fold: bool | None) -> None:
    """After the end there is nothing to wait for and nothing is missing; folding saves frames."""
    generation_id = await stack.create(demo(pace_s=0, tokens=200))
    await stack.closed(generation_id)
    transcripts = await follow_all(Viewer(generation_id, [url], fold=fold) for url in stack.urls)

    await check_all(stack, generation_id, transcripts)
    folded = [s for t in transcripts for segment in t.segments() for s in segment.seen if s.folded]
    assert bool(folded) == (fold is None)


async def test_a_viewer_that_leaves_never_stops_the_generation(stack: Stack) -> None:
    """The last viewer leaves in the middle; the answer completes nevertheless."""
    gate = f"left-{random.getrandbits(32)}"
    generation_id = await stack.create(demo(pace_s=0, tokens=100, gate=gate, gate_after=10))
    async with open_events(stack.urls[0], generation_id) as stream:
        async for frame in stream:
            if frame.event == "token":
                break
        stream.leave()
    await stack.model.open_gate(gate)
    snapshot = await stack.closed(generation_id)

    assert snapshot["status"] == "completed"
    await check_all(stack, generation_id, [await Viewer(generation_id, stack.urls).follow()])


async def test_resuming_after_any_event_continues_with_the_next(stack: Stack) -> None:
    """A viewer can resume from every id of a log, on every process."""
    generation_id = await stack.create(demo(pace_s=0, tokens=20))
    await stack.closed(generation_id)
    cursors = [Cursor.parse(entry_id) for entry_id, _, _ in await stack.log(generation_id)]
    transcripts = [
        await Viewer(generation_id, [url], name=f"after {cursor}", after=cursor, fold=False).follow()
        for cursor in cursors
        for url in stack.urls
    ]

    await check_all(stack, generation_id, transcripts)
    seen = [len(transcript.frames) for transcript in transcripts[:: len(stack.urls)]]
    assert seen == list(range(len(cursors) - 1, -1, -1))


async def test_a_snapshots_cursor_continues_exactly_after_the_snapshot(stack: Stack) -> None:
    """The text of the snapshot and the text after its cursor make the whole answer."""
    gate = f"half-{random.getrandbits(32)}"
    generation_id = await stack.create(demo(pace_s=0, tokens=40, gate=gate, gate_after=20))
    async with open_events(stack.urls[0], generation_id) as stream:
        async for frame in stream:
            if frame.event == "token":
                break
    half = await stack.snapshot(generation_id, api=1)
    viewer = Viewer(generation_id, stack.urls, after=Cursor.parse(half["cursor"]))
    await stack.model.open_gate(gate)
    rest = await viewer.follow()
    whole = await stack.snapshot(generation_id)

    assert half["status"] == "running"
    assert half["text"]
    assert half["text"] + rest.reduce()["text"] == whole["text"]
    await check_all(stack, generation_id, [rest])


async def test_the_stream_ends_cleanly_after_the_terminal(stack: Stack) -> None:
    """The last chunk is sent, so that a proxy sees a complete response."""
    generation_id = await stack.create(demo(pace_s=0, tokens=5))
    async with open_events(stack.urls[0], generation_id) as stream:
        events = [frame.event async for frame in stream]

        assert stream.ended is Ended.CLEAN
        assert events[-1] == "completed"
        assert stream.retry_ms is not None


async def test_several_processes_may_share_one_port(redis_server: RedisServer) -> None:
    """`--workers 2`: each connection reaches one of them, and a viewer resumes on the other without noticing."""
    async with Stack(redis=redis_server, api_arguments=["--workers", "2"]) as stack:
        generation_id = await stack.create(demo(pace_s=0.005, tokens=200))
        transcripts = await follow_all(
            Viewer(
                generation_id,
                stack.urls,
                seed=seed,
                leaves=5,
                leave_after=(1, 40),
                reconnect_s=(0.0, 0.1),
            )
            for seed in range(1, 11)
        )
        await check_all(stack, generation_id, transcripts)
