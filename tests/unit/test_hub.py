"""The hub on logs in memory: viewers come, wait, leave and are drained. `tests/integration/test_hub.py` has Redis."""

import asyncio

import pytest

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.hub import Hub
from outlive.api.formats.native import UNFOLDED
from outlive.api.wires.responses.responses_format import RESPONSES
from outlive.shared.errors import GenerationGone, LogUnavailable
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Completed, Usage
from tests.support.fanout import EPOCH, ID, Logs, Screen, event, events, hub_of, payload

pytestmark = pytest.mark.anyio

KEY = f"log of {ID}"
TERMINAL = Completed("stop", Usage(1, 2, 3), 9, 4)


async def _waiting(hub: Hub) -> asyncio.Task[Ending]:
    """A request that waits for the end, and whose log has been read."""
    before = hub.viewers_of(ID)
    task = asyncio.create_task(hub.wait_for_end(ID))
    while hub.viewers_of(ID) == before or not hub.feeds.open(ID).read.is_set():
        await asyncio.sleep(0)
    return task


async def test_a_viewer_is_brought_up_to_date_and_then_follows() -> None:
    """After its cursor, in one write, and each new event as it comes."""
    hub, screen = hub_of(Logs(events(3))), Screen()
    viewer = await hub.attach(ID, Cursor(EPOCH, 0), screen, UNFOLDED)
    assert (screen.seqs, len(screen.writes)) == ([1, 2], 1)
    hub.feeds.deliver([(KEY, payload([event(3)]))])
    assert screen.seqs == [1, 2, 3]
    hub.detach(viewer)
    hub.feeds.deliver([(KEY, payload([event(4)]))])
    assert screen.seqs == [1, 2, 3]


async def test_viewers_of_a_generation_share_a_feed_and_are_counted() -> None:
    """Also those that only wait for the end."""
    hub = hub_of(Logs(events(3)))
    viewer = await hub.attach(ID, START, Screen(), UNFOLDED)
    waiting = await _waiting(hub)
    assert (hub.viewers_of(ID), hub.counts(), hub.watched()) == (2, {ID: 2}, (2, 1))
    waiting.cancel()
    await asyncio.wait({waiting})
    hub.detach(viewer)
    hub.detach(viewer)
    assert (hub.viewers_of(ID), hub.counts(), hub.watched()) == (0, {}, (0, 1))


@pytest.mark.parametrize(("is_away", "error"), [(True, LogUnavailable), (False, GenerationGone)])
async def test_a_viewer_of_a_log_that_cannot_be_read_is_not_attached(is_away: bool, error: type[Exception]) -> None:
    """The error is raised, and the viewer not counted."""
    logs = Logs(events(3) if is_away else ())
    logs.is_away = is_away
    hub = hub_of(logs)
    with pytest.raises(error):
        await hub.attach(ID, START, Screen(), UNFOLDED)
    with pytest.raises(error):
        await hub.wait_for_end(ID)
    assert hub.watched() == (0, 0)


async def test_one_reading_serves_all_formats_that_come_at_once() -> None:
    """One of the log, one of the request."""
    logs = Logs(events(3))
    hub = hub_of(logs)
    screens = [Screen() for _ in range(20)]
    await asyncio.gather(*(hub.attach(ID, RESPONSES.start, screen, RESPONSES) for screen in screens))
    assert logs.reads == 2


async def test_waiting_ends_with_the_terminal() -> None:
    """As it is delivered."""
    hub = hub_of(Logs(events(3)))
    waiting = await _waiting(hub)
    hub.feeds.deliver([(KEY, payload([event(3)]))])
    assert not waiting.done()
    hub.feeds.deliver([(KEY, payload([event(4, TERMINAL)]))])
    assert await waiting is Ending.TERMINAL
    assert hub.viewers_of(ID) == 0


async def test_waiting_for_a_log_that_has_ended_is_over_at_once() -> None:
    """Nothing has to come."""
    hub = hub_of(Logs([*events(3), event(3, TERMINAL)]))
    assert await hub.wait_for_end(ID) is Ending.TERMINAL


@pytest.mark.parametrize("ending", [Ending.GONE, Ending.AWAY])
async def test_waiting_ends_with_the_feed_and_says_why(ending: Ending) -> None:
    """The log is gone, or Redis is away."""
    hub = hub_of(Logs(events(3)))
    waiting = await _waiting(hub)
    hub.feeds.end(hub.feeds.open(ID), ending)
    assert await waiting is ending


async def test_a_drain_sends_viewers_and_waiting_requests_away() -> None:
    """Those that are there, and those that still come."""
    hub, early, late = hub_of(Logs(events(3)), OUTLIVE_VIEWER_DRAIN_S="0.001"), Screen(), Screen()
    viewer = await hub.attach(ID, START, early, UNFOLDED)
    waiting = await _waiting(hub)
    draining = asyncio.create_task(hub.drain())
    assert await waiting is Ending.DRAINED
    while not early.ended:
        await asyncio.sleep(0)
    hub.detach(viewer)
    await draining
    hub.detach(await hub.attach(ID, START, late, UNFOLDED))
    assert late.ended
    assert (early.retry_ms is None, late.retry_ms is None, late.frames) == (False, False, [])


async def test_a_viewer_that_does_not_read_is_cut_at_the_end_of_a_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not hold up the exit."""
    monkeypatch.setattr("outlive.api.fanout.hub._LAST_S", 0.001)
    hub, screen = hub_of(Logs(events(3)), OUTLIVE_VIEWER_DRAIN_S="0.001"), Screen()
    screen.is_full = True
    await hub.attach(ID, START, screen, UNFOLDED)
    await hub.drain()
    assert (screen.is_cut, screen.writes) == (True, [])
