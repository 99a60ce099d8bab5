"""A storm of lives: answers grow, lose their tails and end, while viewers come, go and resume on every wire.

Feeds are dropped after a tenth of a second, so that readings, messages and subscriptions of former feeds meet new ones.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

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
from outlive.shared.model.cursor import Cursor
from outlive.shared.settings import load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.integration.watched_hub import running_hub
from tests.support.fanout import Screen
from tests.support.redis_server import RedisServer
from tests.support.sse import Frame

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R51", "R74", "R75", "R76", "R77")]

AT_ONCE: Final = 50
WIRES: Final = (UNFOLDED, CHAT, RESPONSES)
_LINGER_S: Final = 0.1


@pytest.fixture
async def hub(redis_server: RedisServer, redis: Redis, keys: Keys) -> AsyncIterator[Hub]:
    """Its feeds hold a part of their logs, and no longer than necessary."""
    small = {"OUTLIVE_FEED_BYTES": "6000", "OUTLIVE_MAX_EVENT_BYTES": "2000", "OUTLIVE_LEASE_S": "0.6"}
    settings = load({"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_FEED_LINGER_S": str(_LINGER_S), **small})
    async with (
        aclosing(OneServer(redis_server.url)) as plane,
        running_hub(Hub(settings, LogReader(redis, keys), plane, ApiMetrics())) as made,
    ):
        yield made


class Life:
    """One answer and one viewer of it, on one wire."""

    def __init__(self, seed: int, hub: Hub, redis: Redis, keys: Keys) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.wire: Format = WIRES[seed % len(WIRES)]
        self.frames: list[Frame] = []
        self.resumed = 0
        self._hub = hub
        self._redis = redis
        self._keys = keys
        self._eventlog = EventLog(redis, keys, logs.LIMITS)

    async def live(self) -> None:
        self.id, self._taken = await logs.running(self._eventlog)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._watch())

    async def _write(self) -> None:
        rng, words, seq = self.rng, self.rng.randint(20, 300), 1
        loses_at = rng.randint(1, words) if rng.random() < 0.4 else words + 1
        while seq <= words:
            count = min(rng.randint(1, 9), words + 1 - seq)
            if seq <= loses_at < seq + count:
                await self._lose_tail(seq, words)
            await self._append(seq, count)
            seq += count
            await asyncio.sleep(rng.choice((0, 0.001, 0.005, 0.02)))
        await logs.append(self._eventlog, logs.completion(self.id, self._taken.epoch, seq, chars=4 * words))

    async def _append(self, seq: int, count: int) -> None:
        texts = (f"{n:04}" for n in range(seq, seq + count))
        await logs.append(self._eventlog, logs.tokens(self.id, self._taken.epoch, seq, *texts))

    async def _lose_tail(self, seq: int, words: int) -> None:
        """A failover takes the newest events, and every subscription; the worker writes the events again."""
        keys = (self._keys.meta(self.id), self._keys.log(self.id))
        kept = {key: await self._redis.dump(key) for key in keys}
        await self._append(seq, min(5, words + 1 - seq))
        await asyncio.sleep(self.rng.choice((0, 0.01, 0.05)))
        for key, value in kept.items():
            await self._redis.restore(key, 0, value, replace=True)
        await self._redis.client_kill_filter(_type="pubsub")
        await asyncio.sleep(self.rng.choice((0, 0.01, 0.1)))

    async def _watch(self) -> None:
        after: ResumePoint = self.wire.start
        while not self._is_over():
            screen = Screen()
            viewer = await self._hub.attach(self.id, after, screen, self.wire)
            await self._look(screen, self.rng.choice((0, 0.002, 0.05, 0.3)))
            self._hub.detach(viewer)
            self.resumed += 1
            for frame in screen.frames:
                if frame.event == "reset" or (frame.event == "error" and not frame.id):
                    self.frames, after = [], self.wire.start
                    continue
                self.frames.append(frame)
                if frame.id:
                    after = self._point(frame.id)
            await asyncio.sleep(self.rng.choice((0, 0, 0.01, 2.5 * _LINGER_S)))

    async def _look(self, screen: Screen, for_s: float) -> None:
        until = asyncio.get_running_loop().time() + for_s
        while not screen.ended and asyncio.get_running_loop().time() < until:
            # The rhythm of the life itself.
            await asyncio.sleep(0.002)

    def _is_over(self) -> bool:
        last = self.frames[-1] if self.frames else None
        return last is not None and (last.event in ("completed", "response.completed") or last.text == "[DONE]")

    def _point(self, id: str) -> ResumePoint:  # noqa: A002 - what SSE calls it
        return FrameNumber(int(id) + 1) if self.wire is RESPONSES else Cursor.parse(id)


async def _storm(seeds: range, hub: Hub, redis: Redis, redis_server: RedisServer, keys: Keys) -> int:
    """How often viewers resumed."""
    resumed = 0
    for first in seeds[::AT_ONCE]:
        lives = [Life(seed, hub, redis, keys) for seed in seeds if first <= seed < first + AT_ONCE]
        await asyncio.gather(*(life.live() for life in lives))
        # A process that was not there reads each log from its start.
        async with aclosing(OneServer(redis_server.url)) as plane:
            other = Hub(load({"OUTLIVE_REDIS_URL": redis_server.url}), LogReader(redis, keys), plane, ApiMetrics())
            for life in lives:
                screen = Screen()
                await other.attach(life.id, life.wire.start, screen, life.wire)
                assert screen.ended
                shown = [(frame.event, frame.text) for frame in life.frames]
                assert shown == [(frame.event, frame.text) for frame in screen.frames], f"seed {life.seed}"
                resumed += life.resumed
    return resumed


async def test_every_life_shows_its_log(hub: Hub, redis: Redis, redis_server: RedisServer, keys: Keys) -> None:
    """Each frame once and in order, to the end."""
    assert await _storm(range(AT_ONCE), hub, redis, redis_server, keys) > 2 * AT_ONCE


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_thousand_lives_show_their_logs(hub: Hub, redis: Redis, redis_server: RedisServer, keys: Keys) -> None:
    """The same over 1,000 other seeds."""
    assert await _storm(range(AT_ONCE, AT_ONCE + 1000), hub, redis, redis_server, keys) > 2000
