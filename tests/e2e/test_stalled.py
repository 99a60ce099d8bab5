"""Viewers that never read: they cost little, do not affect others, and are cut after the stall limit."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.support.invariants import check_invariants
from tests.support.metrics_reading import scrape
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.stalled_viewer import has_bytes, stalled_viewer
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

STALLED: Final = 500
STALL_S: Final = 4.0
MEMORY_BYTES: Final = 50_000_000
REDIS_CONNECTIONS: Final = 32
"""What the process may have opened meanwhile: its pool's limit (`shared/store/connect.py`)."""


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process with a short stall limit."""
    async with Stack(redis=redis_server, settings={"stall_s": STALL_S}) as running:
        yield running


@pytest.mark.rule("R21")
async def test_five_hundred_that_never_read_are_cut_and_cost_little(stack: Stack) -> None:
    """The process queues nothing for them: each is a position, and what its socket could not take."""
    large = await stack.create(demo(pace_s=0, chars=4_000, tokens=500))
    await stack.closed(large)
    api = stack.apis[0]
    await Viewer(large, stack.urls).follow()
    before_bytes, before_sockets = api.resident_bytes, api.descriptors

    async def all_counted() -> bool:
        # For a few, the kernel's buffers held everything: for the server these saw the end.
        now = await scrape(api.url)
        stalled, complete = (now.of("viewers_ended_total", reason=reason) for reason in ("stalled", "terminal"))
        return stalled + complete >= STALLED and stalled > STALLED / 2

    with ExitStack() as holding:
        sockets = [holding.enter_context(stalled_viewer(api.port, large)) for _ in range(STALLED)]
        await until(lambda: all(map(has_bytes, sockets)), 20, "bytes for everybody")
        other = await stack.create(demo(pace_s=0.01, tokens=50))
        transcript = await Viewer(other, stack.urls).follow()
        # Later than the first bytes, because the first page may still have been under way.
        cost_bytes = api.resident_bytes - before_bytes
        await until(lambda: api.descriptors <= before_sockets + REDIS_CONNECTIONS, 40, "their sockets are closed")
        await until(all_counted, 40, "each counted, most of them as stalled")

    print(f"{STALLED} viewers that do not read cost {cost_bytes / 1e6:.1f} MB")
    assert cost_bytes < MEMORY_BYTES
    check_invariants([transcript], await stack.closed(other), await stack.log(other))
