"""The publisher on a log of two groups, one of which is away: the other goes on."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.eventlog import Batch, Renewal
from outlive.shared.log.replies import SeqReply
from outlive.shared.model.events import Token
from outlive.shared.store.keyspace import Keys, partition_of
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.watched_publisher import (
    LEASE_S,
    WITHIN_S,
    WatchedLog,
    acknowledged,
    completed,
    opened,
    publishing,
    say,
    texts,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R54")]


class _TwoGroups(WatchedLog):
    """A log with even and odd partitions, as if they were on two servers that may be away."""

    groups = ("even", "odd")

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys)
        self.away: set[str] = set()
        self.tried: list[Batch] = []
        """Those that were refused, too."""

    def group_of(self, generation_id: str) -> str:
        return self.groups[partition_of(generation_id) % 2]

    def silent_s(self, group: str) -> float | None:
        return None

    async def check(self, group: str) -> None:
        if group in self.away:
            raise LogUnavailable

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | OutliveError]:
        replies: list[SeqReply | OutliveError] = []
        self.tried += batches
        for batch in batches:
            is_away = self.group_of(batch.generation_id) in self.away
            replies += [LogUnavailable()] if is_away else await super().append([batch])
        return replies

    def sent_for(self, publication: Publication) -> list[Batch]:
        """Its batches among those that were sent."""
        return [batch for batch in self.tried if batch.generation_id == publication.generation_id]

    async def renew(self, renewals: Sequence[Renewal]) -> list[SeqReply | OutliveError]:
        replies: list[SeqReply | OutliveError] = []
        for renewal in renewals:
            is_away = self.group_of(renewal.generation_id) in self.away
            replies += [LogUnavailable()] if is_away else await super().renew([renewal])
        return replies


@pytest.fixture
def log(redis: Redis, keys: Keys) -> _TwoGroups:
    return _TwoGroups(redis, keys)


@pytest.fixture
async def publisher(log: _TwoGroups) -> AsyncIterator[Publisher]:
    async with publishing(log) as publisher:
        yield publisher


async def _one_of_each(publisher: Publisher, log: _TwoGroups) -> tuple[Publication, Publication]:
    """An attempt in the even group and one in the odd."""
    by_group: dict[str, Publication] = {}
    while len(by_group) < len(log.groups):
        _, publication = await opened(publisher, log)
        by_group.setdefault(publication.group, publication)
    return by_group["even"], by_group["odd"]


async def test_the_others_write_on_while_one_group_is_away(
    publisher: Publisher, log: _TwoGroups, redis: Redis, keys: Keys
) -> None:
    """When it is back, its attempts write what they kept, without a word from their upstreams."""
    even, odd = await _one_of_each(publisher, log)
    await say(even, "a")
    log.away = {"even"}
    even.add(Token("b"))
    for text in "xyz":
        await say(odd, text)
    await completed(odd)
    assert not even.is_acknowledged
    assert await texts(redis, keys, even.generation_id) == ["a"]
    log.away = set()
    await acknowledged(even)
    assert await texts(redis, keys, even.generation_id) == ["a", "b"]


async def test_an_attempt_of_a_group_that_is_away_is_not_sent_again_and_again(
    publisher: Publisher, log: _TwoGroups
) -> None:
    """Only renewals ask for it; flushes go on with the others'."""
    even, odd = await _one_of_each(publisher, log)
    log.away = {"even"}
    even.add(Token("a"))
    await until(lambda: log.sent_for(even), WITHIN_S, "a first try")
    log.tried.clear()
    for text in "xyz":
        await say(odd, text)
    assert not log.sent_for(even)


@pytest.mark.rule("R10")
async def test_new_work_waits_only_where_the_group_was_away(publisher: Publisher, log: _TwoGroups) -> None:
    """And there for half a lease after it is back."""
    even, odd = await _one_of_each(publisher, log)
    loop = asyncio.get_running_loop()
    log.away = {"even"}
    even.add(Token("a"))
    await until(lambda: log.sent_for(even), WITHIN_S, "a first try")
    assert not publisher.is_in_grace
    await asyncio.wait_for(publisher.wait_out_grace(odd.generation_id), LEASE_S / 20)
    waiting = asyncio.create_task(publisher.wait_out_grace(even.generation_id))
    await say(odd, "x")
    assert not waiting.done()
    log.away = set()
    await acknowledged(even)
    back_at = loop.time()
    await waiting
    assert loop.time() - back_at > 0.4 * LEASE_S


async def test_new_work_waits_when_all_groups_are_away(publisher: Publisher, log: _TwoGroups) -> None:
    """Then there is nothing to claim it for."""
    log.away = {"even", "odd"}
    await until(lambda: publisher.is_in_grace, WITHIN_S, "the silence noticed")
    log.away = {"even"}
    await until(lambda: not publisher.is_in_grace, WITHIN_S, "work for the group that is back")
