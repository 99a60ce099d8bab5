"""When JSON values are looked at: with a piece, by a timer, and not at all while the log takes nothing."""

import asyncio
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.events import Token
from outlive.shared.store.keyspace import Keys
from outlive.worker.json_stream.json_stream import JsonStream
from outlive.worker.json_stream.partial_json import LOOK_S
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import said
from tests.integration.watched_publisher import WITHIN_S, WatchedLog, opened, settled
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

_REQUEST: Final = {"response_format": {"type": "json_object"}}


async def say(publication: Publication, telling: JsonStream, *texts: str) -> None:
    """As an attempt does it."""
    for text in texts:
        if publication.is_full:
            await publication.room()
        publication.add(Token(text))
        telling.take(Token(text))


async def steps(redis: Redis, keys: Keys, publication: Publication) -> list[Any]:
    """The ops in the log, by event."""
    events = await said(redis, keys, publication.outbox.generation_id)
    return [data["ops"] for kind, data in events if kind == "json"]


async def time_of_three_looks() -> None:
    """For what must not happen meanwhile."""
    loop = asyncio.get_running_loop()
    over_s = loop.time() + 3 * LOOK_S
    await until(lambda: loop.time() > over_s, WITHIN_S, "time passes")


@pytest.mark.rule("R31")
async def test_what_comes_last_is_told_without_another_piece(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Too soon after the look before it, it waits for the timer."""
    _, publication = await opened(publisher, log)
    telling = JsonStream(publication, _REQUEST)
    await say(publication, telling, "{", '"a":"b')

    async def told() -> bool:
        return len(await steps(redis, keys, publication)) == 2

    await until(told, WITHIN_S, "the second look")
    first, second = await steps(redis, keys, publication)
    telling.stop()
    assert first == [{"op": "set", "path": "", "value": {}}]
    assert second == [{"op": "add", "path": "/a", "value": "b"}]


@pytest.mark.rule("R31")
async def test_while_the_log_takes_nothing_no_steps_pile_up(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """When it takes them again, one step catches up with all the text."""
    _, publication = await opened(publisher, log)
    telling = JsonStream(publication, _REQUEST)
    await say(publication, telling, '{"a":"')
    await settled(publication)
    log.may_send.clear()
    while not publication.is_full:
        await say(publication, telling, "b")
    await time_of_three_looks()
    log.may_send.set()
    await settled(publication)
    (kind, _) = (await said(redis, keys, publication.outbox.generation_id))[-1]
    assert kind == "token"

    before = len(await steps(redis, keys, publication))
    await say(publication, telling, "c")
    await settled(publication)
    (step,) = (await steps(redis, keys, publication))[before:]
    assert [op["value"][-2:] for op in step] == ["bc"]


async def test_a_lost_place_is_not_told_to(publisher: Publisher, log: WatchedLog) -> None:
    """What the timer finds out is for the attempt to hear, with its next piece."""
    _, publication = await opened(publisher, log)
    telling = JsonStream(publication, _REQUEST)
    await say(publication, telling, "{", '"a":"b')
    await settled(publication)
    held = publication.outbox.events_with_terminal()
    publication.lose(ReplyCode.FENCED)
    await time_of_three_looks()
    assert publication.outbox.events_with_terminal() == held
    with pytest.raises(OwnershipLost):
        await say(publication, telling, "c")
