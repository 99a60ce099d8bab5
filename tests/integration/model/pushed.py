"""Owns a viewer of an API process of its own: the product's feeds, fed by messages that are late, lost or doubled.

The messages are those that the scripts really push; those of a server that was replaced go on arriving, as from a
demoted primary. Replies to readings come late as well. Every choice comes from the seed.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from outlive.api.fanout.encode import encode
from outlive.api.fanout.feed_checks import FeedChecks
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.pages import Pages
from outlive.api.fanout.resume import resume
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import WriteQueue
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import GenerationGone, LogUnavailable, OutliveError
from outlive.shared.log.reader import PAGE, Logged, LogReader, Question
from outlive.shared.model.generation import Meta
from outlive.shared.store.channels import ChannelConnection
from outlive.shared.store.cluster import Client
from outlive.shared.store.keyspace import Keys
from tests.integration.model.viewer import ModelViewer
from tests.support.fanout import HEAL_S, Clock, Screen, Source
from tests.support.transcript import Transcript

_WINDOW_BYTES: Final = 3_000
"""A feed of this size drops events, so that viewers read pages, too."""


class Post:
    """All messages of one log, in the order in which they were pushed."""

    def __init__(self, connection: ChannelConnection, key: str) -> None:
        self.messages: list[bytes] = []
        self._connection = connection
        self._key = key
        self._mark = 0

    async def collect(self) -> None:
        """Receive what was pushed before now."""
        if not self._mark:
            await self._connection.open()
        self._mark += 1
        await self._connection.subscribe([self._key] if self._mark == 1 else [], [], self._mark)
        marks: list[int] = []
        while self._mark not in marks:
            arrived = await self._connection.receive()
            self.messages += [payload for _, payload in arrived.messages]
            marks += arrived.marks

    async def close(self) -> None:
        await self._connection.close()


class _LateReader(LogReader):
    """Replies may wait: they say what the log was when it was asked."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        super().__init__(redis, keys)
        self.is_late = False
        self.waiting: asyncio.Event | None = None

    async def pages_from(self, questions: Sequence[Question]) -> list[list[Logged] | OutliveError | None]:
        pages = await super().pages_from(questions)
        if self.is_late:
            self.waiting = asyncio.Event()
            await self.waiting.wait()
            self.waiting = None
        return pages


class PushedViewer(ModelViewer):
    """One viewer of one process."""

    def __init__(self, transcript: Transcript, redis: Client, keys: Keys, rng: random.Random, post: Post) -> None:
        self._late = _LateReader(redis, keys)
        super().__init__(transcript, self._late, rng)
        self._post = post
        self._received = len(post.messages)
        self._mail: list[bytes] = []
        self._old: list[bytes] = []
        self._clock = Clock()
        self._feeds = Feeds(
            self._late, Source(), WriteQueue(), limit_bytes=_WINDOW_BYTES, heal_s=HEAL_S, clock=self._clock
        )
        self._checks = FeedChecks(self._late, ApiMetrics(), self._feeds, heal_s=HEAL_S, clock=self._clock)
        self._screen = Screen()
        self._noted = 0
        self._viewer: Viewer | None = None

    async def read(self) -> bool:
        """One turn; whether there may be more."""
        if self.gone or self.transcript.terminal is not None:
            return False
        await self._post.collect()
        self._mail += self._post.messages[self._received :]
        self._received = len(self._post.messages)
        is_last = self.pace == PAGE
        self._late.is_late = not is_last and self.rng.random() < 0.4
        if self._viewer is None:
            await self._attach()
        elif is_last:
            self._clock.now += 1
            while self._mail:
                self._deliver(self._mail.pop(0))
            for _ in range(2):
                await self._checks.compare()
        else:
            await self._happen()
        await self._read_on()
        self._note()
        return not self.gone

    async def _happen(self) -> None:
        chance = self.rng.random()
        if self._mail and chance < 0.8:
            self._receive()
        elif self._old and chance < 0.85:
            # As from a server that does not know yet that it was replaced.
            self._deliver(self.rng.choice(self._old))
        elif chance < 0.95:
            self._clock.now += self.rng.choice((0.5, 2, 5))
            await self._checks.compare()
        else:
            self._leave()

    def _receive(self) -> None:
        chance = self.rng.random()
        message = self._mail.pop(self.rng.randrange(len(self._mail)) if chance < 0.15 else 0)
        self._old.append(message)
        if chance < 0.3:
            return
        for _ in range(2 if chance < 0.4 else 1):
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        self._feeds.deliver([(self._late.log_key(self.transcript.generation_id), message)])

    async def _attach(self) -> None:
        (meta,) = await self._late.metas([self.transcript.generation_id])
        if not isinstance(meta, Meta):
            self.gone = True
            return
        self._late.is_late = False
        opened = self._feeds.open(self.transcript.generation_id)
        self._screen, self._noted = Screen(), 0
        self._viewer = Viewer(opened.feed, self._screen, UNFOLDED, Pages(self._late), b"retry: 1\n\n")
        self._feeds.add_watcher(opened, self._viewer)
        try:
            await self._feeds.wait_until_read(opened)
            await encode(opened, UNFOLDED, self._late)
            cursor = self.transcript.cursor
            if opened.feed.windows[UNFOLDED].is_ahead(cursor):
                self._feeds.doubt(opened)
                await self._read_on()
            await resume(self._viewer, cursor, self._late, heal_s=HEAL_S, clock=self._clock)
            self._viewer.advance()
        except GenerationGone:
            self.gone = True
        except LogUnavailable:
            # It is told to come back.
            self._screen.ended = True

    def _leave(self) -> None:
        """Its connection breaks; its feed may be gone when it comes back."""
        self._note()
        if self._viewer is None:
            return
        feed = self._viewer.feed
        self._viewer.detach()
        self._feeds.remove_watcher(self._viewer, self._clock.time())
        self._viewer = None
        if self.rng.random() < 0.5:
            for opened in self._feeds:
                if opened.feed is feed:
                    self._feeds.drop(opened)

    async def _read_on(self) -> None:
        """Until nothing is being read, or a reply waits."""
        if self._late.waiting is not None and (not self._late.is_late or self.rng.random() < 0.5):
            self._late.waiting.set()
            await asyncio.sleep(0)
        while self._is_busy() and self._late.waiting is None:
            await asyncio.sleep(0)

    def _is_busy(self) -> bool:
        pages = self._viewer._pages._tasks if self._viewer is not None else ()
        return bool(self._feeds._catch_up._tasks or pages)

    def _note(self) -> None:
        for frame in self._screen.frames[self._noted :]:
            # The other viewers of the model write the line end as well.
            self.transcript.saw(replace(frame, raw=frame.raw + b"\n") if frame.id else frame)
        self._noted = len(self._screen.frames)
        if self._screen.ended:
            self._screen, self._noted = Screen(), 0
            self._viewer = None
