"""Owns the reading of logs into feeds: of new feeds, and of those whose messages have a hole.

A reading asks for what follows the newest event held. Many feeds share one pipeline, one pipeline of a group is under
way at a time, and so never two readings of one feed. A reply counts only if the feed still is what it was when it was
asked; what came by message meanwhile makes it an old answer to another question, and the feed is asked about again.
Knows no viewers and no channels.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from enum import Enum, auto
from itertools import islice
from typing import Final, NamedTuple, Protocol

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.loop_clock import Clock
from outlive.api.fanout.open_feed import OpenFeed
from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.reader import LARGE_PAGE, Logged, LogReader, Question
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import Meta

log = logging.getLogger(__name__)

_MAX_LOGS: Final = 64
"""In one pipeline: a failover makes thousands of feeds read at once, and no reply shall wait for all of them."""
_MAX_EVENTS: Final = 8192
"""In one pipeline, unless the logs are so many that each gets less than `_MIN_PAGE`."""
_MIN_PAGE: Final = 256
_AWAY_FIRST_S: Final = 0.05
_AWAY_MAX_S: Final = 1.0


class Readable(Protocol):
    """The feeds, as far as readings change them."""

    def grew(self, opened: OpenFeed) -> None:
        """Events were read into it, or it has its end."""

    def end(self, opened: OpenFeed, ending: Ending, failure: OutliveError | None = None) -> None:
        """It cannot go on."""

    def reread(self, opened: OpenFeed) -> None:
        """Its log is not the one that viewers were shown."""


class Verdict(Enum):
    """What a log means that lacks the newest event of its feed."""

    GONE = auto()
    WAIT = auto()
    """Its worker may be about to write it again."""
    LOST = auto()
    """Nobody will write it again."""


def judge(meta: Meta | str | None, last: Cursor, missing_s: float, heal_s: float) -> Verdict:
    """Judge a log that has lacked the event `last` for `missing_s`; a worker is waited for no longer than `heal_s`."""
    if not isinstance(meta, Meta):
        return Verdict.GONE
    will_not_heal = meta.is_closed or meta.last.epoch > last.epoch
    return Verdict.LOST if will_not_heal or missing_s > heal_s else Verdict.WAIT


class _Asked(NamedTuple):
    """One question, and what it was asked for."""

    opened: OpenFeed
    incarnation: int
    after: Cursor

    @property
    def is_current(self) -> bool:
        feed = self.opened.feed
        return self.opened.takes_events and (feed.incarnation, feed.last) == (self.incarnation, self.after)


class CatchUp:
    """`request` a reading; it happens as soon as possible. `close` cancels all."""

    def __init__(self, reader: LogReader, feeds: Readable, *, heal_s: float, clock: Clock) -> None:
        self._reader = reader
        self._feeds = feeds
        self._heal_s = heal_s
        self._clock = clock
        self._waiting: dict[str, dict[OpenFeed, None]] = {}
        """By group, in order: feeds to be read."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By group: the task that works them off; it ends when there are none."""

    def request(self, opened: OpenFeed) -> None:
        """Read what follows the newest event held. While a reading of the feed is under way, once more after it."""
        if not opened.takes_events:
            return
        if opened.unread_since is None:
            opened.unread_since = self._clock.time()
        group = self._reader.group_of(opened.feed.generation_id)
        self._waiting.setdefault(group, {})[opened] = None
        if group not in self._tasks:
            self._tasks[group] = asyncio.create_task(self._work_off(group), name=f"read logs {group}".rstrip())

    def close(self) -> None:
        """Cancel all readings, because the hub stops."""
        for task in self._tasks.values():
            task.cancel()

    async def _work_off(self, group: str) -> None:
        waiting, delay_s = self._waiting[group], _AWAY_FIRST_S
        try:
            while waiting:
                asked = []
                for opened in list(islice(waiting, _MAX_LOGS)):
                    del waiting[opened]
                    if opened.takes_events:
                        asked.append(_Asked(opened, opened.feed.incarnation, opened.feed.last))
                if not asked or await self._read(asked):
                    delay_s = _AWAY_FIRST_S
                else:
                    await self._clock.sleep(delay_s * random.uniform(0.5, 1))
                    delay_s = min(delay_s * 2, _AWAY_MAX_S)
        finally:
            del self._tasks[group], self._waiting[group]

    async def _read(self, asked: Sequence[_Asked]) -> bool:
        """Whether the server replied."""
        count = min(LARGE_PAGE, max(_MIN_PAGE, _MAX_EVENTS // len(asked)))
        try:
            pages = await self._reader.pages_from(
                [Question(each.opened.feed.generation_id, each.after, count) for each in asked]
            )
            missing = [each for each, page in zip(asked, pages, strict=True) if page is None]
            metas = await self._reader.metas([each.opened.feed.generation_id for each in missing]) if missing else []
        except OutliveError as error:
            for each in asked:
                self._fail(each.opened, error)
            return False
        meta_of = dict(zip((each.opened for each in missing), metas, strict=True))
        has_failed = False
        for each, page in zip(asked, pages, strict=True):
            opened = each.opened
            try:
                if isinstance(page, OutliveError):
                    has_failed = True
                    self._fail(opened, page)
                elif not each.is_current:
                    self.request(opened)
                elif page is None:
                    self._judge(opened, meta_of[opened])
                else:
                    self._take(opened, page, count)
            except Exception:
                # A mistake about one feed must not end the reading of all others.
                log.exception("a log could not be taken", extra={"generation": opened.feed.generation_id})
                self._feeds.end(opened, Ending.AWAY, LogUnavailable())
        return not has_failed

    def _take(self, opened: OpenFeed, page: list[Logged], count: int) -> None:
        if not opened.feed.extend(page):
            if opened.read.is_set():
                self._feeds.reread(opened)
            else:
                # Read from its first event on, so there is nothing that a second reading would mend.
                log.error("the log has a hole", extra={"generation": opened.feed.generation_id})
                self._feeds.end(opened, Ending.AWAY, LogUnavailable())
            return
        if len(page) == count and opened.feed.ending is None:
            self.request(opened)
        else:
            opened.caught_up()
        self._feeds.grew(opened)

    def _judge(self, opened: OpenFeed, meta: Meta | str | None) -> None:
        now = self._clock.time()
        is_first, opened.missing_since = opened.missing_since is None, opened.missing_since or now
        match judge(meta, opened.feed.last, now - opened.missing_since, self._heal_s):
            case Verdict.GONE:
                self._feeds.end(opened, Ending.GONE)
            case Verdict.LOST if is_first:
                # It may have been written again between the two looks, at its events and at its meta.
                self.request(opened)
            case Verdict.LOST if opened.feed.last == START:
                self._feeds.end(opened, Ending.GONE)
            case Verdict.LOST:
                self._feeds.reread(opened)
            case Verdict.WAIT:
                opened.unread_since = None

    def _fail(self, opened: OpenFeed, error: OutliveError) -> None:
        if opened.takes_events and not opened.read.is_set() and opened.feed.incarnation == 0:
            # Its first viewers get the error.
            self._feeds.end(opened, Ending.AWAY, error)
        else:
            self.request(opened)
