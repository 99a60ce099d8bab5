"""When JSON values are read: with a piece, by a timer, and not at all while the log takes nothing."""

from typing import Any, Final

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.events import Token
from outlive.shared.store.keyspace import Keys
from outlive.worker.json_stream.json_stream import JsonStream
from outlive.worker.json_stream.partial_json import READ_EVERY_S
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import said
from tests.integration.watched_publisher import WatchedLog, acknowledged, opened
from tests.support.hand_clock import HandClock

pytestmark = pytest.mark.anyio

_REQUEST: Final = {"response_format": {"type": "json_object"}}


async def say(publication: Publication, stream: JsonStream, *texts: str) -> None:
    """As an attempt does it."""
    for text in texts:
        if publication.is_full:
            await publication.wait_for_room()
        publication.add(Token(text))
        stream.take(Token(text))


async def steps(redis: Redis, keys: Keys, publication: Publication) -> list[Any]:
    """The ops in the log, by event."""
    events = await said(redis, keys, publication.generation_id)
    return [data["ops"] for kind, data in events if kind == "json"]


@pytest.mark.rule("R31")
async def test_what_comes_last_is_streamed_without_another_piece(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Too soon after the read before it, it waits for the timer."""
    _, publication = await opened(publisher, log)
    clock = HandClock()
    stream = JsonStream(publication, _REQUEST, clock)
    await say(publication, stream, "{", '"a":"b')

    await acknowledged(publication)
    assert len(await steps(redis, keys, publication)) == 1
    clock.advance(READ_EVERY_S)
    await acknowledged(publication)
    first, second = await steps(redis, keys, publication)
    stream.stop()
    assert first == [{"op": "set", "path": "", "value": {}}]
    assert second == [{"op": "add", "path": "/a", "value": "b"}]


@pytest.mark.rule("R31")
async def test_while_the_log_takes_nothing_no_steps_pile_up(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """When it takes them again, one step catches up with all the text."""
    _, publication = await opened(publisher, log)
    clock = HandClock()
    stream = JsonStream(publication, _REQUEST, clock)
    await say(publication, stream, '{"a":"')
    await acknowledged(publication)
    log.may_send.clear()
    while not publication.is_full:
        await say(publication, stream, "b")
    clock.advance(3 * READ_EVERY_S)
    log.may_send.set()
    await acknowledged(publication)
    (kind, _) = (await said(redis, keys, publication.generation_id))[-1]
    assert kind == "token"

    before = len(await steps(redis, keys, publication))
    await say(publication, stream, "c")
    await acknowledged(publication)
    (step,) = (await steps(redis, keys, publication))[before:]
    assert [op["value"][-2:] for op in step] == ["bc"]


async def test_after_lost_ownership_the_timer_writes_nothing(publisher: Publisher, log: WatchedLog) -> None:
    """The attempt learns of the loss with its next piece, not from the timer."""
    _, publication = await opened(publisher, log)
    clock = HandClock()
    stream = JsonStream(publication, _REQUEST, clock)
    await say(publication, stream, "{", '"a":"b')
    await acknowledged(publication)
    held = publication.totals().events
    publication.lose(ReplyCode.FENCED)
    clock.advance(3 * READ_EVERY_S)
    assert publication.totals().events == held
    with pytest.raises(OwnershipLost):
        await say(publication, stream, "c")
