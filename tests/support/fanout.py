"""Owns what unit tests of fan-out need: logs in memory, a clock that tests move, a screen, and builders."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.feeds import Feeds
from outlive.api.fanout.hub import Hub
from outlive.api.fanout.pages import Pages
from outlive.api.fanout.sink import nobody
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import WriteQueue
from outlive.api.formats.format import Format, Head
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.reader import PAGE, Logged, LogReader, Question
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Event, Token
from outlive.shared.model.generation import Meta
from outlive.shared.settings import load
from outlive.shared.store.plane import OneServer
from tests.support.sse import Frame, Parser

ID: Final = "gen_0123456789abcdef0123456789abcdef"
EPOCH: Final = 7
HEAL_S: Final = 4.0
"""How long feeds of tests wait for a log that lacks events."""
HEAD: Final = Head(b'{"model":"demo","messages":[]}', b"{}")
FAREWELL: Final = b"retry: 1\n\n"
_NOWHERE: Final = "redis://127.0.0.1:1"
"""Never connected to: clients connect when they are first used."""


def event(seq: int, what: Event | None = None, epoch: int = EPOCH) -> Logged:
    """An entry of a log; a token that holds its number unless it is to be something else."""
    made = what or Token(f"{seq:03}")
    return Logged(Cursor(epoch, seq), made.type.value.encode(), encode(made))


def events(count: int, first: int = 0) -> list[Logged]:
    return [event(seq) for seq in range(first, first + count)]


class Logs(LogReader):
    """Logs by generation id. While `is_away` nothing can be read; a generation without a log is gone."""

    def __init__(self, log: Sequence[Logged] = ()) -> None:
        self.logs: dict[str, list[Logged]] = {ID: list(log)} if log else {}
        self.metas_of: dict[str, Meta | str | None] = {}
        self.is_away = False
        self.reads = 0

    async def metas(self, generation_ids: Sequence[str]) -> list[Meta | str | None]:
        await self._reach()
        return [self.metas_of.get(generation_id) for generation_id in generation_ids]

    async def page(self, generation_id: str, after: Cursor, count: int = PAGE) -> list[Logged]:
        await self._reach()
        return [entry for entry in self.logs.get(generation_id, []) if entry.cursor > after][:count]

    async def pages(self, generation_id: str) -> AsyncIterator[list[Logged]]:
        yield await self.page(generation_id, START, 1_000_000)

    async def pages_from(self, questions: Sequence[Question]) -> list[list[Logged] | OutliveError | None]:
        await self._reach()
        return [self._after(*question) for question in questions]

    async def differing(self, feeds: Sequence[tuple[str, Cursor]]) -> set[str]:
        await self._reach()
        return {each for each, newest in feeds if not (log := self.logs.get(each)) or log[-1].cursor != newest}

    async def asked(self, generation_id: str) -> tuple[bytes, bytes]:
        await self._reach()
        return HEAD

    async def has(self, generation_id: str, cursor: Cursor) -> bool:
        await self._reach()
        return self._holds(generation_id, cursor)

    def log_key(self, generation_id: str) -> str:
        return f"log of {generation_id}"

    def group_of(self, generation_id: str) -> str:
        return ""

    def _after(self, generation_id: str, after: Cursor, count: int) -> list[Logged] | None:
        if after != START and not self._holds(generation_id, after):
            return None
        events = [entry for entry in self.logs.get(generation_id, []) if entry.cursor > after][:count]
        return events if after != START else events or None

    def _holds(self, generation_id: str, cursor: Cursor) -> bool:
        return any(entry.cursor == cursor for entry in self.logs.get(generation_id, []))

    async def _reach(self) -> None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise LogUnavailable


class Clock:
    """Stands still until somebody sleeps or `now` is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        self.now += delay_s
        await asyncio.sleep(0)


class Screen:
    """A sink that shows what it is given, as a browser's page does."""

    def __init__(self) -> None:
        self.is_full = False
        self.on_room: Callable[[], None] = nobody
        self.writes: list[bytes] = []
        self.frames: list[Frame] = []
        self.ended = False
        self.is_cut = False
        self.stalled_since: float | None = None
        self.error: Exception | None = None
        """Raised by the next write."""
        self._parser = Parser()

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        assert not self.ended, "nothing follows the end"
        self.writes.append(data)
        self.frames += self._parser.feed(data)

    def end(self, data: bytes) -> None:
        self.write(data)
        self.ended = True

    def cut(self) -> None:
        self.is_cut = True

    def has_stalled(self, now: float, stall_s: float) -> bool:
        return self.stalled_since is not None and now - self.stalled_since > stall_s

    def drain(self) -> None:
        """There is room again."""
        self.is_full = False
        self.on_room()

    @property
    def shown(self) -> bytes:
        return b"".join(self.writes)

    @property
    def retry_ms(self) -> int | None:
        return self._parser.retry_ms

    @property
    def kinds(self) -> list[str]:
        return [frame.event for frame in self.frames]

    @property
    def seqs(self) -> list[int]:
        """Of the frames that have a cursor."""
        return [Cursor.parse(frame.id).seq for frame in self.frames if frame.id]

    def shows(self, kind: str) -> Callable[[], bool]:
        return lambda: kind in self.kinds


class Source:
    """Where a test delivers messages itself; remembers what is watched. Channels speak when the test says so."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        self.is_up = False

    def watch(self, key: str) -> bool:
        self.watched.add(key)
        return self.is_up

    def forget(self, key: str) -> None:
        self.watched.discard(key)


def payload(log: Sequence[Logged], before: Cursor | None = None) -> bytes:
    """The message that a script publishes when it has written these events of one attempt. The event before the first
    is the one of the number before, unless it is to be another."""
    first = log[0].cursor
    lines = [str(before or Cursor(first.epoch, first.seq - 1)).encode(), str(first).encode()]
    return b"\n".join([*lines, *(line for entry in log for line in (entry.type, entry.data))])


def feed_of(log: Sequence[Logged] = (), *, limit_bytes: int = 1_000_000, format_: Format = UNFOLDED) -> Feed:
    """A feed that holds this log, encoded in one format."""
    feed = Feed(ID, limit_bytes)
    feed.add_window(EncodedWindow(format_, HEAD))
    assert feed.extend(log)
    return feed


def viewer_of(
    feed: Feed, screen: Screen, *, logs: Logs | None = None, format_: Format = UNFOLDED, after: Cursor | None = None
) -> Viewer:
    """A viewer of this feed; JOINING, unless it has seen something."""
    viewer = Viewer(feed, screen, format_, Pages(logs or Logs()), FAREWELL)
    if after is not None:
        position, rest = feed.position_after(after, format_) or (0, b"")
        viewer.join(after, position, rest)
    return viewer


def feeds_of(logs: Logs, *, limit_bytes: int = 1_000_000, clock: Clock | None = None) -> tuple[Feeds, Source]:
    """Feeds of these logs, and the source of their messages."""
    source = Source()
    feeds = Feeds(logs, source, WriteQueue(), limit_bytes=limit_bytes, heal_s=HEAL_S, clock=clock or Clock())
    return feeds, source


def hub_of(logs: Logs, **settings: str) -> Hub:
    """A hub that is not run: `feeds.deliver` hands it messages."""
    loaded = load({"OUTLIVE_REDIS_URL": _NOWHERE, **settings})
    return Hub(loaded, logs, OneServer(_NOWHERE), ApiMetrics())
