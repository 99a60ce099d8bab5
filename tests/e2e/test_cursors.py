"""Cursors that are malformed, in the future or of another log: the API says so, and never skips events silently."""

import random
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from outlive.shared.model.cursor import Cursor
from tests.support.invariants import check_invariants
from tests.support.problem_responses import check_problem
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import events_url, open_events
from tests.support.stack import QUICK, Stack, demo
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio


MALFORMED = [
    *("$", "+", "*", ">", "-", "--", "x", "null", "undefined", "1", "00", "1-", "-1-0", "1--1", "-0"),
    *("01-0", "1-00", "1-01", "00-0", "1-2-3", "1_2", "1.0-2", "1e3-0", "0x1-0", "1-2x", "1-2,1-3", "1 - 2"),
    *(f"{2**64}-0", f"1-{2**64}", "9" * 21 + "-0", "1-" + "9" * 400),
]
MALFORMED_IN_A_QUERY = [
    *(" ", " 1-2", "1-2 ", "\t1-2", "1-2\n", "1-2\r\n", "\0", "1-2\0", "\uff11-\uff12", "\u0661-\u0662"),
]
HOSTILE = {"200 kB": "1-2".ljust(200_000, "0"), "high bytes": "\xff" * 200, "powers": "\xb2-\xb3"}


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Two API processes, one worker, and a short lease: the API waits for a future cursor about as long as the
    lease."""
    async with Stack(apis=2, redis=redis_server, settings={"lease_s": 1.5}) as running:
        yield running


async def check_starts_over(stack: Stack, generation_id: str, cursor: Cursor) -> None:
    """Check that one `reset` comes first, without an id, and then the whole log."""
    transcript = await Viewer(generation_id, stack.urls, after=cursor, within_s=20.0).follow()
    first = transcript.frames[0]
    assert (first.event, first.id) == ("reset", None)
    assert first.data["reason"]
    assert transcript.resets == 1
    check_invariants([transcript], await stack.snapshot(generation_id), await stack.log(generation_id))


@pytest.mark.rule("R20")
@pytest.mark.parametrize("cursor", MALFORMED, ids=lambda cursor: cursor[:24])
async def test_a_malformed_cursor_is_refused(stack: Stack, finished: str, cursor: str) -> None:
    """400 in the header and in the query, although Redis itself would accept some of them."""
    url = stack.urls[0]
    by_header = await request("GET", events_url(url, finished), headers=[("Last-Event-ID", cursor)])
    by_query = await request("GET", events_url(url, finished, after=cursor))

    check_problem(by_header, 400, "malformed_cursor")
    check_problem(by_query, 400, "malformed_cursor")


@pytest.mark.rule("R20")
@pytest.mark.parametrize("cursor", MALFORMED_IN_A_QUERY, ids=repr)
async def test_a_cursor_no_header_could_carry_is_refused(stack: Stack, finished: str, cursor: str) -> None:
    """Spaces, line ends, NUL and non-ASCII digits can arrive percent-encoded."""
    answer = await request("GET", events_url(stack.urls[0], finished, after=cursor))
    check_problem(answer, 400, "malformed_cursor")


@pytest.mark.parametrize("which", HOSTILE)
async def test_a_hostile_header_is_refused(stack: Stack, finished: str, which: str) -> None:
    """The server refuses the header or the cursor in it; it never hangs and never fails."""
    url = events_url(stack.urls[0], finished)
    answer = await request("GET", url, headers=[("Last-Event-ID", HOSTILE[which].encode("latin-1"))])
    assert answer.status in (400, 431)
    assert (await stack.snapshot(finished))["status"] == "completed"


@pytest.mark.parametrize("size", [70_000, 200_000])
async def test_an_enormous_query_is_refused(stack: Stack, finished: str, size: int) -> None:
    """By the limit of the cursor, or by that of the server."""
    answer = await request("GET", events_url(stack.urls[0], finished, after="1-" + "2" * size))
    assert answer.status in (400, 414, 431)


@pytest.mark.rule("R8")
@pytest.mark.parametrize("seqs_ahead", [1, 1_000_000], ids=["just", "far"])
@pytest.mark.parametrize("epochs_ahead", [0, 1], ids=["same epoch", "later epoch"])
async def test_a_cursor_from_the_future_is_told_and_starts_over(
    stack: Stack, finished: str, epochs_ahead: int, seqs_ahead: int
) -> None:
    """`reset`, then everything from the start."""
    last = Cursor.parse((await stack.snapshot(finished))["cursor"])
    await check_starts_over(stack, finished, Cursor(last.epoch + epochs_ahead, last.seq + seqs_ahead))


@pytest.mark.rule("R8")
async def test_another_generations_cursor_is_told_and_starts_over(stack: Stack, finished: str) -> None:
    """The viewer gets the whole of this generation, and nothing of the other."""
    other = await stack.create(QUICK)
    await stack.closed(other)
    for entry_id, _, _ in await stack.log(other):
        await check_starts_over(stack, finished, Cursor.parse(entry_id))


@pytest.mark.rule("R8")
@pytest.mark.parametrize("cursor", [Cursor(0, 1), Cursor(1, 0), Cursor(2**64 - 1, 2**64 - 1)], ids=str)
async def test_a_cursor_never_given_out_is_told_and_starts_over(stack: Stack, finished: str, cursor: Cursor) -> None:
    """A well-formed cursor before the first event or after the last."""
    await check_starts_over(stack, finished, cursor)


@pytest.mark.rule("R8")
async def test_a_future_cursor_of_a_running_generation_starts_over(stack: Stack) -> None:
    """Its worker might still write that far, so the API waits for it before it resets the viewer."""
    gate = str(random.getrandbits(60))
    generation_id = await stack.create(demo(pace_s=0, tokens=10, gate=gate, gate_after=5))
    async with open_events(stack.urls[0], generation_id) as stream:
        async for frame in stream:
            if frame.event == "token":
                break
        now = Cursor.parse(frame.id or "")
    async with open_events(stack.urls[1], generation_id, after=Cursor(now.epoch, 5_000)) as stream:
        first, second = await anext(stream), await anext(stream)
    await stack.model.open_gate(gate)

    assert (first.event, first.id) == ("reset", None)
    assert second.event == "queued"
    assert (await stack.closed(generation_id))["status"] == "completed"


async def test_a_cursor_stays_percent_encoded_on_its_way(stack: Stack, finished: str) -> None:
    """A percent-encoded cursor is accepted: proxies encode the dash."""
    cursor = (await stack.snapshot(finished))["cursor"]
    encoded = quote(cursor, safe="").replace("-", "%2D")
    answer = await request("GET", f"{events_url(stack.urls[0], finished)}?after={encoded}")
    assert answer.status == 204
