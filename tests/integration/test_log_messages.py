"""What the scripts push on a log's channel: every event that they write, and what was before it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.messages import UNREADABLE, Message, parse
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.store.channels import ChannelConnection
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R74")]


class Channel:
    """The channel of one log, as a subscriber hears it."""

    def __init__(self, connection: ChannelConnection) -> None:
        self._connection = connection
        self._heard: list[Message] = []

    async def subscribe(self, key: str) -> None:
        await self._connection.open()
        await self._connection.subscribe([key], [], 1)
        while not (await self._connection.receive()).marks:
            pass

    async def messages(self) -> list[Message]:
        """All that were sent before now, since the last call."""
        await self._connection.subscribe([], [], 2)
        marked = False
        while not marked:
            arrived = await self._connection.receive()
            self._heard += [parse(payload) for _, payload in arrived.messages]
            marked = bool(arrived.marks)
        heard, self._heard = self._heard, []
        return heard


@pytest.fixture
async def channel(redis_server: RedisServer) -> AsyncIterator[Channel]:
    plane = OneServer(redis_server.url)
    connection = plane.channels(("", 0))
    yield Channel(connection)
    await connection.close()
    await plane.aclose()


async def test_every_script_that_writes_events_pushes_them(
    channel: Channel, eventlog: EventLog, redis: Redis, keys: Keys
) -> None:
    """In order and without a hole: together they are the log, and the end of it is said."""
    new = logs.new_generation()
    await channel.subscribe(keys.log(new.id))
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    await logs.append(eventlog, logs.tokens(new.id, taken.epoch, 1, "a", "b"))
    await logs.append(eventlog, logs.tokens(new.id, taken.epoch, 2, "b", "c", "d"))
    await eventlog.release(new.id, taken.epoch, "worker_shutdown")
    again = await eventlog.take(new.id, "two")
    await eventlog.cancel(new.id)
    log = await logs.whole_log(redis, keys, new.id)
    heard = await channel.messages()
    assert [entry for message in heard for entry in message.events] == log
    assert [message.before for message in heard] == [START, *(message.last for message in heard[:-1])]
    assert [len(message.events) for message in heard] == [1, 1, 2, 2, 1, 1]
    assert heard[4].last == again.cursor
    await eventlog.delete(new.id, logs.TENANT)
    assert await channel.messages() == [UNREADABLE]


async def test_a_terminal_is_pushed_as_any_event(channel: Channel, eventlog: EventLog, keys: Keys) -> None:
    """The owner's own."""
    generation_id, taken = await logs.running(eventlog)
    await channel.subscribe(keys.log(generation_id))
    await eventlog.append([logs.completion(generation_id, taken.epoch, 1)])
    (message,) = await channel.messages()
    assert (message.before, message.events[0].type) == (taken.cursor, b"completed")


async def test_what_writes_nothing_pushes_nothing(channel: Channel, eventlog: EventLog, keys: Keys) -> None:
    """A batch that was in the log already, one behind a hole, a renewal, a refused take."""
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    await channel.subscribe(keys.log(generation_id))
    await eventlog.append([logs.tokens(generation_id, taken.epoch, 1, "a")])
    await eventlog.append([logs.tokens(generation_id, taken.epoch, 9, "z")])
    await eventlog.take(generation_id, "two")
    assert await channel.messages() == []


async def test_a_take_that_is_written_again_is_pushed_again(
    channel: Channel, eventlog: EventLog, redis: Redis, keys: Keys
) -> None:
    """With what is before it now."""
    generation_id = await logs.created(eventlog)
    kept = {key: await redis.dump(key) for key in (keys.meta(generation_id), keys.log(generation_id))}
    (queued,) = await logs.whole_log(redis, keys, generation_id)
    taken = await eventlog.take(generation_id, "one")
    for key, value in kept.items():
        await redis.restore(key, 0, value, replace=True)
    await channel.subscribe(keys.log(generation_id))
    await eventlog.heal(generation_id, "one", taken)
    await eventlog.heal(generation_id, "one", taken)
    assert [(message.before, message.last) for message in await channel.messages()] == [(queued.cursor, taken.cursor)]


async def test_a_large_batch_pushes_its_range_alone(channel: Channel, eventlog: EventLog, keys: Keys) -> None:
    """Each subscriber's output buffer would hold a copy of it."""
    generation_id, taken = await logs.running(eventlog)
    await channel.subscribe(keys.log(generation_id))
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, *["x" * 10_000] * 7))
    assert await channel.messages() == [Message(taken.cursor, Cursor(taken.epoch, 7), ())]


@pytest.mark.rule("R73")
async def test_a_message_that_is_refused_fails_no_write(redis_server: RedisServer, redis: Redis, keys: Keys) -> None:
    """The events are written and acknowledged; they are read when the log is looked at."""
    await redis.execute_command("ACL", "SETUSER", "mute", "on", ">x", "~*", "+@all", "resetchannels")  # type: ignore[no-untyped-call]
    mute = connect(redis_server.url.replace("unix://", "unix://mute:x@"))
    eventlog = EventLog(mute, keys, logs.LIMITS)
    generation_id, taken = await logs.running(eventlog)
    (reply,) = await eventlog.append([logs.tokens(generation_id, taken.epoch, 1, "a")])
    assert getattr(reply, "code", reply) is ReplyCode.OK
    assert (await eventlog.cancel(generation_id)).code is ReplyCode.OK
    assert [entry.type for entry in await logs.whole_log(redis, keys, generation_id)] == [
        b"queued", b"attempt", b"token", b"cancelled",
    ]  # fmt: skip
    await mute.aclose()
    await asyncio.sleep(0)
