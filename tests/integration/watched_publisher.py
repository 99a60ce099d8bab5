"""Owns a publisher that works on a real log, which records what is sent to it and can hold it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

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
from tests.support.metrics_reading import unread_worker_metrics
from tests.support.waiting import until

WITHIN_S: Final = 10.0
LEASE_S: Final = 2.0
MAX: Final = 4
_OUTBOX = OutboxLimits(unflushed_events=MAX, max_event_bytes=1024, max_output_bytes=100_000)


class WatchedLog(EventLog):
    """The log. It records the batches that are sent, and sends them when `may_send` is set."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys, LIMITS)
        self.sent: list[list[Batch]] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.before_heal: Callable[[], Awaitable[object]] | None = None
        """What another process does after a worker got the reply BEHIND."""

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
    """A publisher that runs."""
    publisher = Publisher(eventlog, _OUTBOX, unread_worker_metrics(), time.monotonic, lease_s=LEASE_S, full_s=full_s)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def opened(publisher: Publisher, log: EventLog) -> tuple[str, Publication]:
    """Take a new generation, and open a publication for its attempt."""
    generation_id, taken = await running(log)
    return generation_id, publisher.open(generation_id, "one", taken)


async def acknowledged(*publications: Publication) -> None:
    """Wait until the log has everything that was added."""
    await until(lambda: all(p.is_acknowledged for p in publications), WITHIN_S, "all in the log", every_s=0.002)


async def say(publication: Publication, *texts: str) -> None:
    """One event for each text; the next is added when the last one is in the log."""
    for text in texts:
        publication.add(Token(text))
        await acknowledged(publication)


async def completed(publication: Publication) -> None:
    await publication.close(Completed("stop", Usage(1, 1, 2), *publication.totals()))


async def texts(redis: Redis, keys: Keys, generation_id: str) -> list[str]:
    """The log's tokens, in order."""
    return [data["text"] for kind, data in await said(redis, keys, generation_id) if kind == "token"]


async def turns(count: int) -> None:
    """Let everything run that can run now. No timer fires in so few turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)
