"""Owns a viewer that behaves as the page does: it follows a generation to its end, whatever breaks."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from outlive.shared.model.cursor import START, Cursor
from tests.support.sse import EventStream, open_events
from tests.support.transcript import TERMINALS, Transcript

_FINAL_STATUSES: Final = frozenset({204, 410})
"""Statuses after which a viewer does not come back."""


class Viewer:
    """Follows one generation over several API processes until the terminal.

    All its choices come from `seed`: how it sends its cursor, how long it waits before it reconnects, and, with
    `leaves`, after how many events it cuts its own connection to resume on the next process.
    """

    def __init__(
        self,
        generation_id: str,
        urls: Sequence[str],
        *,
        seed: int = 0,
        name: str | None = None,
        fold: bool | None = None,
        after: Cursor = START,
        reconnect_s: tuple[float, float] = (0.2, 1.0),
        leaves: int = 0,
        leave_after: tuple[int, int] = (1, 40),
        within_s: float = 60.0,
    ) -> None:
        self.transcript = Transcript(generation_id, name or f"viewer {seed}", after)
        self.gone = False
        self._urls = list(urls)
        self._chance = random.Random(f"{seed} {generation_id}" if seed else generation_id)
        self._at = self._chance.randrange(len(urls))
        self._fold = fold
        self._reconnect_s = reconnect_s
        self._leaves = leaves
        self._leave_after = leave_after
        self._within_s = within_s

    async def follow(self) -> Transcript:
        """Watch until the terminal, 204 or 410. Fails if that takes longer than `within_s`."""
        try:
            async with asyncio.timeout(self._within_s):
                while not await self._watch_once():
                    self._at = (self._at + 1) % len(self._urls)
                    # As browsers do, it waits before it reconnects.
                    await asyncio.sleep(self._chance.uniform(*self._reconnect_s))
        except TimeoutError:
            message = f"no end of {self.transcript.generation_id} within {self._within_s:g} s"
            raise AssertionError(f"{message}\n{self.transcript.excerpt()}") from None
        return self.transcript

    async def _watch_once(self) -> bool:
        """Watch over one connection. True if the viewer need not come back."""
        url = self._urls[self._at]
        cursor = self.transcript.cursor
        by: Literal["header", "query"] = "query" if self._chance.random() < 0.5 else "header"
        after = None if cursor == START else cursor
        self.transcript.connected(url)
        try:
            async with open_events(url, self.transcript.generation_id, after=after, by=by, fold=self._fold) as stream:
                return await self._read(stream)
        except OSError as error:
            self.transcript.ended(f"no response: {error}")
            return False

    async def _read(self, stream: EventStream) -> bool:
        if stream.status != 200:
            self.transcript.ended(f"status {stream.status}")
            self.gone = stream.status == 410
            if stream.status in _FINAL_STATUSES:
                return True
            assert stream.status >= 500, f"status {stream.status}\n{self.transcript.excerpt()}"
            return False
        patience = self._chance.randint(*self._leave_after) if self._leaves else None
        async for frame in stream:
            self.transcript.saw(frame)
            if frame.event in TERMINALS:
                await self._read_past_terminal(stream)
                return True
            if patience is not None:
                patience -= 1
                if patience <= 0:
                    self._leaves -= 1
                    stream.leave()
                    self.transcript.ended("left")
                    return False
        self.transcript.ended(f"ended {stream.ended}, retry {stream.retry_ms}")
        return False

    async def _read_past_terminal(self, stream: EventStream) -> None:
        """Record what comes after the terminal: the server must close the stream and send nothing more."""
        async for frame in stream:
            self.transcript.saw(frame)
        self.transcript.ended(f"ended {stream.ended} after the terminal")


async def follow_all(viewers: Iterable[Viewer]) -> list[Transcript]:
    """Let all viewers watch at the same time; the first failure stops all."""
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(viewer.follow()) for viewer in viewers]
    return [task.result() for task in following]
