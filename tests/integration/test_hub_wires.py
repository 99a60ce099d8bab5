"""One log on several wires, from a hub that holds little of it: every place is continued, byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.hub import Hub
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.api.wires.chat.chat_format import CHAT
from outlive.api.wires.responses.responses_format import RESPONSES
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.settings import load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.integration.watched_hub import running_hub
from tests.support.fanout import Screen
from tests.support.redis_server import RedisServer
from tests.support.sse import Frame
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WORDS = 60


@pytest.fixture
async def hub(redis_server: RedisServer, redis: Redis, keys: Keys) -> AsyncIterator[Hub]:
    """Its feeds hold the last few events only."""
    small = {"OUTLIVE_FEED_BYTES": "2000", "OUTLIVE_MAX_EVENT_BYTES": "2000", "OUTLIVE_LEASE_S": "0.3"}
    settings = load({"OUTLIVE_REDIS_URL": redis_server.url, **small})
    async with (
        aclosing(OneServer(redis_server.url)) as plane,
        running_hub(Hub(settings, LogReader(redis, keys), plane, ApiMetrics())) as made,
    ):
        yield made


async def _frames(hub: Hub, generation_id: str, wire: Format, after: ResumePoint) -> list[Frame]:
    screen = Screen()
    viewer = await hub.attach(generation_id, after, screen, wire)
    await until(lambda: screen.ended, 5, f"the end after {after}")
    hub.detach(viewer)
    return screen.frames


async def _log(eventlog: EventLog) -> str:
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, *(f"{n:03}" for n in range(WORDS))))
    await logs.append(eventlog, logs.completion(generation_id, taken.epoch, WORDS + 1, chars=3 * WORDS))
    return generation_id


@pytest.mark.rule("R51")
async def test_every_number_is_continued_though_the_window_has_passed_it(hub: Hub, eventlog: EventLog) -> None:
    """Also from the middle of an event that has several frames."""
    generation_id = await _log(eventlog)
    whole = await _frames(hub, generation_id, RESPONSES, RESPONSES.start)

    assert [frame.data["sequence_number"] for frame in whole] == list(range(WORDS + 9))
    for number in range(len(whole)):
        rest = await _frames(hub, generation_id, RESPONSES, FrameNumber(number + 1))
        assert [frame.raw for frame in rest] == [frame.raw for frame in whole[number + 1 :]]


@pytest.mark.rule("R49")
async def test_every_cursor_is_continued_on_the_chat_wire(hub: Hub, eventlog: EventLog) -> None:
    """After its last id nothing comes; after any other, the events that were not sent whole."""
    generation_id = await _log(eventlog)
    whole = await _frames(hub, generation_id, CHAT, START)

    assert whole[-1].text == "[DONE]"
    ids = [frame.id or "" for frame in whole]
    for last in ids:
        rest = await _frames(hub, generation_id, CHAT, Cursor.parse(last))
        # An event's id is first on its own last frame, and then on all but the last frame of the next event.
        assert [frame.raw for frame in rest] == [frame.raw for frame in whole[ids.index(last) + 1 :]]


@pytest.mark.rule("R51")
async def test_formats_opened_late_and_early_have_the_same_frames(hub: Hub, eventlog: EventLog) -> None:
    """Whether the log was followed live, or read again because the feed had let go of its beginning."""
    generation_id, taken = await logs.running(eventlog)
    early = {wire: Screen() for wire in (UNFOLDED, CHAT, RESPONSES)}
    viewers = [await hub.attach(generation_id, wire.start, screen, wire) for wire, screen in early.items()]
    for number in range(WORDS):
        await logs.append(
            eventlog, logs.tokens(generation_id, taken.epoch, number + 1, f"{number:03}", chars=3 * number)
        )
    await logs.append(eventlog, logs.completion(generation_id, taken.epoch, WORDS + 1, chars=3 * WORDS))
    await until(lambda: all(screen.ended for screen in early.values()), 5, "all ends")
    for viewer in viewers:
        hub.detach(viewer)

    for wire, screen in early.items():
        assert [frame.raw for frame in await _frames(hub, generation_id, wire, wire.start)] == [
            f.raw for f in screen.frames
        ]


@pytest.mark.rule("R52")
async def test_a_number_nobody_heals_is_an_error_the_sdk_raises(hub: Hub, eventlog: EventLog) -> None:
    """There is no `reset` on this wire."""
    generation_id, _ = await logs.running(eventlog)
    (frame,) = await _frames(hub, generation_id, RESPONSES, FrameNumber(99))
    assert frame.data["error"]["code"] == "unknown_cursor"


@pytest.mark.rule("R52")
async def test_a_viewer_sent_away_learns_that_this_is_not_the_end(hub: Hub, eventlog: EventLog) -> None:
    """The SDKs would take a mere end for success."""
    generation_id, _ = await logs.running(eventlog)
    screens = {wire: Screen() for wire in (UNFOLDED, CHAT, RESPONSES)}
    viewers = [await hub.attach(generation_id, wire.start, screen, wire) for wire, screen in screens.items()]
    draining = asyncio.create_task(hub.drain())
    await until(lambda: all(screen.ended for screen in screens.values()), 5, "all ends")
    for viewer in viewers:
        hub.detach(viewer)
    await draining

    assert screens[UNFOLDED].kinds[-1] == "attempt"
    assert screens[UNFOLDED].retry_ms is not None
    for wire in (CHAT, RESPONSES):
        assert screens[wire].frames[-1].data["error"]["code"] == "resume"
