"""Owns a publisher at work on a real log, as its tests need it: watched, held, and put back in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis

from outlive.shared.errors import OutliveError
from outlive.shared.log.eventlog import Batch, EventLog
from outlive.shared.log.replies import ReplyCode, SeqReply, TakeReply
from outlive.shared.model.events import Completed, Token, Usage
from outlive.shared.store.keyspace import Keys
from outlive.worker.publishing.outbox import OutboxLimits
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.logs import LIMITS, running, said
from tests.support.metrics_reading import unread
from tests.support.waiting import until

WITHIN_S: Final = 10.0
LEASE_S: Final = 2.0
MAX: Final = 4
_OUTBOX = OutboxLimits(unflushed_events=MAX, max_event_bytes=1024, max_output_bytes=100_000)


class WatchedLog(EventLog):
    """The log, with a look at what is sent to it and a hand on when."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys, LIMITS)
        self.sent: list[list[Batch]] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.before_heal: Callable[[], Awaitable[object]] | None = None
        """What somebody else does after the log replied BEHIND to a worker."""

    async def heal(self, generation_id: str, token: str, taken: TakeReply) -> ReplyCode:
        if self.before_heal is not None:
            await self.before_heal()
        return await super().heal(generation_id, token, taken)

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | OutliveError]:
        self.sent.append(list(batches))
        await self.may_send.wait()
        return await super().append(batches)


@asynccontextmanager
async def publishing(eventlog: EventLog, *, full_s: float = 0.2) -> AsyncIterator[Publisher]:
    """A publisher at work."""
    publisher = Publisher(eventlog, _OUTBOX, unread(), time.monotonic, lease_s=LEASE_S, full_s=full_s)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def opened(publisher: Publisher, log: EventLog) -> tuple[str, Publication]:
    """A generation just taken, and its publication."""
    generation_id, taken = await running(log)
    return generation_id, publisher.open(generation_id, "one", taken)


async def acknowledged(*publications: Publication) -> None:
    """Wait until the log has everything that was added."""
    await until(lambda: all(p.is_acknowledged for p in publications), WITHIN_S, "all in the log", every_s=0.002)


async def say(publication: Publication, *texts: str) -> None:
    """One event each: the next is said when the last is in the log."""
    for text in texts:
        publication.add(Token(text))
        await acknowledged(publication)


async def completed(publication: Publication) -> None:
    await publication.close(Completed("stop", Usage(1, 1, 2), *publication.totals()))


async def texts(redis: Redis, keys: Keys, generation_id: str) -> list[str]:
    """The log's tokens, in order."""
    return [data["text"] for kind, data in await said(redis, keys, generation_id) if kind == "token"]


async def turns(count: int) -> None:
    """Let everything run that can run now: no timer has its time in so few turns."""
    for _ in range(count):
        await asyncio.sleep(0)


class Tail:
    """Meta and log as they are now, to be put back later: what a failover makes of a primary."""

    def __init__(self, redis: Redis, keys: Keys, generation_id: str) -> None:
        self._redis = redis
        self._keys = (keys.meta(generation_id), keys.log(generation_id))
        self._dumps: list[Any] = []

    async def keep(self) -> None:
        self._dumps = [await self._redis.dump(key) for key in self._keys]

    async def lose(self) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            for key, dump in zip(self._keys, self._dumps, strict=True):
                pipe.restore(key, 0, dump, replace=True)
            await pipe.execute()
