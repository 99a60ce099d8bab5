"""Reads of meta: shared by all that come at once, never older than a caller, and paced."""

import asyncio

import pytest

from outlive.api.fanout.meta_lookup import SingleFlightMeta
from outlive.shared.errors import GenerationNotFound
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.generation import Meta, Status
from tests.support.fanout import ID, Clock, Logs

pytestmark = pytest.mark.anyio

PACE_S = 0.05
META = Meta("acme", Status.RUNNING, "demo", Cursor(7, 0), 1, None, b"{}", 0.0, None, None)


def _lookup() -> tuple[SingleFlightMeta, Logs, Clock]:
    logs, clock = Logs(), Clock()
    logs.metas_of[ID] = META
    return SingleFlightMeta(logs, clock), logs, clock


async def test_all_that_come_at_once_share_one_read() -> None:
    """A thousand viewers that resume cost Redis one command."""
    lookup, logs, clock = _lookup()
    metas = await asyncio.gather(*(lookup.meta(ID, "acme") for _ in range(1000)))
    assert metas == [META] * 1000
    assert (logs.reads, clock.now) == (1, Clock().now)


async def test_a_caller_that_comes_while_a_read_is_under_way_gets_a_later_one() -> None:
    """What was true before it asked is not enough; and reads begin a pace apart."""
    lookup, logs, clock = _lookup()
    first = asyncio.create_task(lookup.meta(ID, "acme"))
    while not logs.reads:
        await asyncio.sleep(0)
    await lookup.meta(ID, "acme")
    await first
    assert (logs.reads, clock.now) == (2, Clock().now + PACE_S)


async def test_reads_of_several_generations_do_not_wait_for_each_other() -> None:
    """The pace is of one generation."""
    lookup, logs, clock = _lookup()
    logs.metas_of["another"] = META
    await lookup.meta(ID, "acme")
    await lookup.meta("another", "acme")
    assert (logs.reads, clock.now) == (2, Clock().now)


async def test_a_lone_caller_never_waits() -> None:
    """Once the pace has passed; and what was asked long ago is forgotten."""
    lookup, _, clock = _lookup()
    await lookup.meta(ID, "acme")
    clock.now += 1.0
    await lookup.meta(ID, "acme")
    assert clock.now == Clock().now + 1.0
    clock.now += 1.0
    with pytest.raises(GenerationNotFound):
        await lookup.meta("unknown", "acme")
    assert list(lookup._began) == ["unknown"]


async def test_a_caller_that_leaves_takes_the_read_from_nobody() -> None:
    """It belongs to all that share it."""
    lookup, logs, _ = _lookup()
    leaving, staying = (asyncio.create_task(lookup.meta(ID, "acme")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == META
    assert logs.reads == 1
