"""Owns a viewer: it reads by the rule (R8), and its transcript is what the promises are held against.

Written from PROTOCOL.md, not from the API's code, so that the two do not share a mistake.
"""

import random
from dataclasses import dataclass
from typing import Final

from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import Meta
from tests.support.sse import Frame
from tests.support.transcript import TERMINALS, Transcript

_PATIENCE: Final = 3
"""Looks at a log that may yet be healed, instead of lease/3 + 1 s."""


@dataclass
class ModelViewer:
    """One viewer over any number of connections."""

    transcript: Transcript
    reader: LogReader
    rng: random.Random
    pace: int = 3
    """Events a turn: few, so that viewers are in the middle of things most of the time."""
    gone: bool = False
    """It was told 410 or 404, and has given up."""
    looks: int = 0

    async def read(self) -> bool:
        """One turn; whether there may be more."""
        if self.gone or self.transcript.terminal is not None:
            return False
        # A reading that goes on over a reconnect may see events before the next look at meta.
        if self.rng.random() < 0.3 and await self._page():
            return True
        return await self._look()

    async def _look(self) -> bool:
        cursor = self.transcript.cursor
        (meta,) = await self.reader.metas([self.transcript.generation_id])
        has = await self.reader.has(self.transcript.generation_id, cursor)
        if not isinstance(meta, Meta):
            self.gone = True
            return False
        if has or cursor == START:
            self.looks = 0
            return await self._page()
        if not meta.is_closed and meta.last.epoch == cursor.epoch and self.looks < _PATIENCE:
            self.looks += 1
        else:
            self._reset()
        return True

    async def _page(self) -> bool:
        page = await self.reader.page(self.transcript.generation_id, self.transcript.cursor)
        for entry in page[: self.pace]:
            frame = frame_of(entry)
            if frame.event in TERMINALS and "cut" in frame.data and not self._honours(frame.data["cut"]):
                self._reset()
                break
            self.transcript.saw(frame)
        return bool(page)

    def _honours(self, cut: str) -> bool:
        """Whether what was seen can be cut there: at its end, or anywhere for a viewer that does so itself."""
        if cut == str(self.transcript.cursor):
            return True
        segment = self.transcript.segments()[-1]
        return self.rng.random() < 0.5 and Cursor.parse(cut) in {s.cursor for s in segment.seen}

    def _reset(self) -> None:
        self.looks = 0
        self.transcript.saw(Frame(None, "reset", '{"reason":"unknown_cursor"}', b"", ""))


def frame_of(entry: Logged) -> Frame:
    """An entry as the API would send it."""
    cursor, kind, text = str(entry.cursor), entry.type.decode(), entry.data.decode()
    return Frame(cursor, kind, text, f"id: {cursor}\nevent: {kind}\ndata: {text}\n".encode(), cursor)
