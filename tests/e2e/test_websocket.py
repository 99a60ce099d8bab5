"""The WebSocket: the same events as SSE in another envelope, and a way to cancel."""

import pytest
from websockets.exceptions import InvalidStatus

from outlive.shared.model.cursor import START, Cursor
from tests.support.redis_server import RedisServer
from tests.support.sse import Frame, open_events
from tests.support.stack import Stack, demo, unique
from tests.support.transcript import Transcript
from tests.support.websocket_viewer import open_socket

pytestmark = pytest.mark.anyio


def meaning(frames: list[Frame]) -> list[tuple[str | None, str, object]]:
    return [(frame.id, frame.event, frame.data) for frame in frames]


@pytest.mark.rule("R37")
@pytest.mark.parametrize(
    "model", [demo(pace_s=0, tokens=50, reasoning=5), demo(pace_s=0, tools=2), demo(pace_s=0, refusal=5)]
)
async def test_a_socket_tells_what_sse_tells(stack: Stack, model: str) -> None:
    """The same ids, types and data, from the start and from every id."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    generation_id = await stack.create(model, tools=tools)
    await stack.closed(generation_id)
    log = await stack.log(generation_id)
    for after in [None, *(entry_id for entry_id, _, _ in log[:-1])]:
        async with open_events(stack.urls[0], generation_id, after=after) as stream:
            expected = [frame async for frame in stream]
        async with open_socket(stack.urls[1], generation_id, after=after) as socket:
            seen = [frame async for frame in socket]
        assert meaning(seen) == meaning(expected)
        assert socket.code == 1000
        assert "retry" in socket.others


@pytest.mark.rule("R37")
async def test_a_socket_that_is_cut_resumes_on_another_process(stack: Stack) -> None:
    """From its last id, again and again; together the pieces make the whole answer."""
    generation_id = await stack.create(demo(pace_s=0.002, tokens=200))
    transcript = Transcript(generation_id, "socket")
    at = 0
    while transcript.terminal is None:
        after = None if transcript.cursor == START else str(transcript.cursor)
        at += 1
        async with open_socket(stack.urls[at % 2], generation_id, after=after) as socket:
            patience = 25
            async for frame in socket:
                transcript.saw(frame)
                patience -= 1
                if not patience:
                    break
    snapshot = await stack.snapshot(generation_id)

    assert at > 1
    assert transcript.reduce()["text"] == snapshot["text"]
    assert transcript.reduce()["cursor"] == snapshot["cursor"]


@pytest.mark.rule("R18")
@pytest.mark.parametrize("noise", [[], ["nonsense", '"cancel"', '{"type": "pause"}', b"\x00binary", "[" * 2000]])
async def test_cancel_may_be_said_on_the_socket(stack: Stack, noise: list[str | bytes]) -> None:
    """The viewer then sees the terminal like any other; other messages from it are ignored."""
    generation_id = await stack.create(demo(gate=unique(), gate_after=3, pace_s=0))
    async with open_socket(stack.urls[0], generation_id) as socket:
        seen: list[Frame] = []
        async for frame in socket:
            seen.append(frame)
            if frame.event == "token" and len(seen) == 3:
                for words in noise:
                    await socket.connection.send(words)
                await socket.cancel()
    assert seen[-1].event == "cancelled"
    assert socket.code == 1000
    assert (await stack.snapshot(generation_id))["status"] == "cancelled"


@pytest.mark.rule("R37")
@pytest.mark.parametrize(
    ("which", "after", "code"),
    [("finished", "$", 4400), ("finished", "01-0", 4400), ("gen_" + "0" * 32, None, 4404), ("x", None, 4404)],
)
async def test_what_sse_refuses_a_socket_refuses(
    stack: Stack, finished: str, which: str, after: str | None, code: int
) -> None:
    """With a close code, because a browser shows a page nothing else."""
    generation_id = finished if which == "finished" else which
    async with open_socket(stack.urls[0], generation_id, after=after) as socket:
        assert [frame async for frame in socket] == []
        assert socket.code == code


@pytest.mark.rule("R37")
async def test_at_the_terminal_and_after_the_end_there_is_nothing_to_tell(stack: Stack, finished: str) -> None:
    """1000 at the terminal; and a cursor of another log gets `reset`, as over SSE."""
    snapshot = await stack.snapshot(finished)
    async with open_socket(stack.urls[0], finished, after=snapshot["cursor"]) as socket:
        assert [frame async for frame in socket] == []
        assert socket.code == 1000
    async with open_socket(stack.urls[0], finished, after=str(Cursor(7, 7))) as socket:
        seen = [frame async for frame in socket]
        assert [frame.event for frame in seen][:2] == ["reset", "queued"]


async def test_a_page_of_another_origin_is_refused(stack: Stack, finished: str) -> None:
    """Browsers let any page open a WebSocket to any server."""
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(stack.urls[0], finished, origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403
    async with open_socket(stack.urls[0], finished, origin=stack.urls[0]) as socket:
        assert [frame async for frame in socket]


@pytest.mark.rule("R37")
async def test_a_draining_process_sends_its_sockets_elsewhere(redis_server: RedisServer) -> None:
    """1012, without a terminal; the answer goes on."""
    async with Stack(apis=2, redis=redis_server) as stack:
        gate = unique()
        generation_id = await stack.create(demo(gate=gate, gate_after=3, pace_s=0, tokens=10))
        async with open_socket(stack.urls[0], generation_id) as socket:
            seen: list[Frame] = []
            async for frame in socket:
                seen.append(frame)
                if frame.event == "token" and stack.apis[0].running:
                    stack.apis[0].terminate()
        assert socket.code == 1012
        await stack.model.open_gate(gate)
        async with open_socket(stack.urls[1], generation_id, after=seen[-1].id) as socket:
            rest = [frame async for frame in socket]
        transcript = Transcript(generation_id)
        for frame in [*seen, *rest]:
            transcript.saw(frame)
        assert transcript.reduce()["text"] == (await stack.snapshot(generation_id, api=1))["text"]
