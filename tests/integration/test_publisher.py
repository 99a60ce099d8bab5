"""The publisher on a real log: one flush for all, bounded, and the last event alone."""

import asyncio

import pytest
from redis.asyncio import Redis

from outlive.shared.model.events import Reasoning, Token
from outlive.shared.store.keyspace import Keys
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import said
from tests.integration.watched_publisher import (
    MAX,
    WITHIN_S,
    WatchedLog,
    acknowledged,
    completed,
    opened,
    turns,
)
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_lone_token_leaves_at_once(publisher: Publisher, log: WatchedLog) -> None:
    """Within a few turns of the event loop: no timer gathers tokens when nothing is under way."""
    _, publication = await opened(publisher, log)
    await turns(5)
    publication.add(Token("a"))
    await turns(5)
    assert [len(batches) for batches in log.sent] == [1]
    await acknowledged(publication)


async def test_what_arrives_during_a_flush_becomes_one_event(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Three tokens joined, a reasoning apart, all with the next flush."""
    generation_id, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("a"))
    await until(lambda: log.sent, WITHIN_S, "first flush")
    for delta in (Token("b"), Token("c"), Reasoning("d")):
        publication.add(delta)
    log.may_send.set()
    await acknowledged(publication)
    assert len(log.sent) == 2
    assert (await said(redis, keys, generation_id))[2:] == [
        ("token", {"text": "a"}), ("token", {"text": "bc"}), ("reasoning", {"text": "d"}),
    ]  # fmt: skip


async def test_one_flush_carries_all_generations(publisher: Publisher, log: WatchedLog) -> None:
    """Group commit: while one is under way, ten others gather for the next."""
    _, first = await opened(publisher, log)
    others = [(await opened(publisher, log))[1] for _ in range(10)]
    log.may_send.clear()
    first.add(Token("a"))
    await until(lambda: log.sent, WITHIN_S, "first flush")
    for publication in others:
        publication.add(Token("b"))
    log.may_send.set()
    await acknowledged(first, *others)
    assert [len(batches) for batches in log.sent] == [1, 10]


@pytest.mark.rule("R22")
async def test_a_full_buffer_waits_until_it_is_flushed(publisher: Publisher, log: WatchedLog) -> None:
    """Pieces count, joined or not: a buffer that only grows in bytes is not bounded."""
    _, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("0"))
    await until(lambda: log.sent, WITHIN_S, "a flush under way")
    for n in range(1, MAX):
        assert not publication.is_full
        publication.add(Token(str(n)))
    assert publication.is_full
    waiting = asyncio.create_task(publication.wait_for_room())
    await turns(20)
    assert not waiting.done()
    log.may_send.set()
    await asyncio.wait_for(waiting, WITHIN_S)
    assert not publication.is_full


async def test_the_last_event_goes_alone_and_is_waited_for(
    publisher: Publisher, log: WatchedLog, redis: Redis, keys: Keys
) -> None:
    """Alone, because it alone may pass when Redis is full."""
    generation_id, publication = await opened(publisher, log)
    log.may_send.clear()
    publication.add(Token("a"))
    closing = asyncio.create_task(completed(publication))
    await until(lambda: log.sent, WITHIN_S, "a flush under way")
    assert not closing.done()
    log.may_send.set()
    await asyncio.wait_for(closing, WITHIN_S)
    assert [kind for kind, _ in await said(redis, keys, generation_id)] == ["queued", "attempt", "token", "completed"]
    assert [[entry.type for entry in batch.entries] for (batch,) in log.sent] == [["token"], ["completed"]]
