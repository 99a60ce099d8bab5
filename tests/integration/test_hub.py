"""The hub on a real Redis: what viewers get when the log is not what it was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.hub import Hub
from outlive.api.fanout.sink import SendSink
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.settings import load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.integration.saved_log import SavedLog
from tests.integration.watched_hub import running_hub
from tests.support.fanout import Screen
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hub(redis_server: RedisServer, redis: Redis, keys: Keys) -> AsyncIterator[Hub]:
    """A running hub that heals for no longer than lease/3 + 1 s with a short lease."""
    settings = load({"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_LEASE_S": "0.3"})
    async with (
        aclosing(OneServer(redis_server.url)) as plane,
        running_hub(Hub(settings, LogReader(redis, keys), plane, ApiMetrics())) as made,
    ):
        yield made


@pytest.mark.rule("R8")
async def test_viewers_of_a_lost_tail_are_reset_when_it_is_cut(
    hub: Hub, eventlog: EventLog, redis: Redis, keys: Keys
) -> None:
    """They held more than the log does: they get a `reset`, and all of it again."""
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    saved = SavedLog(redis, keys, generation_id)
    await saved.save()
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 3, "c", "d"))
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen, UNFOLDED)
    await until(lambda: len(screen.frames) == 6, 5, "all six events")
    await saved.restore()
    await eventlog.cancel(generation_id)
    await until(lambda: screen.ended, 5, "the end")
    hub.detach(viewer)

    again = screen.kinds.index("reset")
    assert screen.kinds[again + 1 :] == ["queued", "attempt", "token", "token", "cancelled"]
    assert [f.id for f in screen.frames[:4]] == [f.id for f in screen.frames[again + 1 : again + 5]]


@pytest.mark.rule("R8")
async def test_a_cursor_ahead_of_the_log_waits_for_its_worker(
    hub: Hub, eventlog: EventLog, redis: Redis, keys: Keys
) -> None:
    """Nothing is sent before it is known from where; once healed it goes on as if nothing had been."""
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    screen = Screen()
    attaching = asyncio.create_task(hub.attach(generation_id, Cursor(taken.epoch, 3), screen, UNFOLDED))
    await until(lambda: hub.viewers_of(generation_id) == 1, 5, "the viewer is known")
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 2, "b"))
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 3, "c", "d"))
    hub.detach(await attaching)

    assert [frame.id for frame in screen.frames] == [f"{taken.epoch}-4"]


@pytest.mark.rule("R8")
async def test_a_cursor_nobody_heals_is_reset(hub: Hub, eventlog: EventLog) -> None:
    """After lease/3 + 1 s: everything from the first event."""
    generation_id, taken = await logs.running(eventlog)
    screen = Screen()
    viewer = await hub.attach(generation_id, Cursor(taken.epoch, 9), screen, UNFOLDED)
    await until(screen.shows("attempt"), 5, "the log from its start")
    hub.detach(viewer)

    assert screen.kinds == ["reset", "queued", "attempt"]


@pytest.mark.rule("R19")
async def test_viewers_of_a_deleted_log_end_cleanly(hub: Hub, eventlog: EventLog) -> None:
    """Found at the look at meta: no event says it."""
    generation_id, _ = await logs.running(eventlog)
    screen = Screen()
    viewer = await hub.attach(generation_id, START, screen, UNFOLDED)
    await until(screen.shows("attempt"), 5, "the beginning")
    await eventlog.delete(generation_id, logs.TENANT)
    await until(lambda: screen.ended, 8, "the end")
    hub.detach(viewer)

    assert screen.kinds == ["queued", "attempt"]


async def test_a_broken_viewer_harms_no_other(hub: Hub, eventlog: EventLog) -> None:
    """Its send raises in the feed's turn; the others go on."""
    generation_id, taken = await logs.running(eventlog)

    async def broken(_: Any) -> None:
        raise RuntimeError("the response is over")

    screen = Screen()
    first = await hub.attach(generation_id, START, SendSink(broken), UNFOLDED)
    second = await hub.attach(generation_id, START, screen, UNFOLDED)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    await until(screen.shows("token"), 5, "a token in the healthy viewer")
    for viewer in (first, second):
        hub.detach(viewer)
