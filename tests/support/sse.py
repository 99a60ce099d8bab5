"""Owns the tests' own reading of an event stream, exactly as the WHATWG specification says.

Written from the specification (HTML, 9.2.5 and 9.2.6), not from our server, so that the two do not share a
mistake. `Parser` does no I/O; `EventStream` adds it.
"""

import contextlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self
from urllib.parse import quote

from outlive.shared.model.cursor import Cursor
from tests.support.raw_http import Ended, Exchange, Headers, exchange

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_MAX_BLOCK_BYTES: Final = 8_388_608
"""Far above any event of ours. A stream that never ends a block must not use up the memory of the test."""


@dataclass(frozen=True)
class Frame:
    """One dispatched event."""

    id: str | None
    """The id in this frame itself; None if it had none, or one with NUL."""
    event: str
    text: str
    """The data field as received."""
    raw: bytes
    """Its `id`, `event` and `data` lines as received, without comments and `retry`, and with the same line ends
    always. Equal bytes mean an equal frame on every replica."""
    last_event_id: str
    """The `Last-Event-ID` that a browser would send if it reconnected now."""

    @cached_property
    def data(self) -> Any:
        """The data as JSON."""
        return json.loads(self.text)

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return f"{self.id or '(no id)'} {self.event} {shown}"


class Parser:
    """Bytes in, frames out, however the bytes are split."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments = 0
        self._rest = bytearray()
        self._at_start = True
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._raw: list[bytes] = []
        self._block_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete. An unfinished block is kept; at the end of the stream it is lost."""
        self._rest += data
        if self._at_start:
            if len(self._rest) < 3 and b"\xef\xbb\xbf".startswith(self._rest):
                return []
            if self._rest.startswith(b"\xef\xbb\xbf"):
                del self._rest[:3]
            self._at_start = False
        frames: list[Frame] = []
        for line in self._lines():
            frame = self._line(line)
            if frame is not None:
                frames.append(frame)
        if len(self._rest) + self._block_bytes > _MAX_BLOCK_BYTES:
            raise ValueError("an event larger than any of ours")
        return frames

    def _lines(self) -> list[bytes]:
        """Take the complete lines. CR LF may come in two pieces: the LF after a CR is dropped."""
        data = bytes(self._rest)
        begin = 1 if self._after_cr and data.startswith(b"\n") else 0
        if data:
            self._after_cr = False
        lines: list[bytes] = []
        for end in _LINE_END.finditer(data, begin):
            lines.append(data[begin : end.start()])
            begin = end.end()
            self._after_cr = begin == len(data) and end[0] == b"\r"
        self._rest = bytearray(data[begin:])
        return lines

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            self.comments += 1
            return None
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode(errors="replace")
        match name:
            case b"data":
                self._data.append(text)
            case b"event":
                self._event = text
            case b"id":
                if "\0" not in text:
                    self._id = text
            case b"retry":
                if value.removeprefix(b" ").isdigit():
                    self.retry_ms = int(text)
                return None
            case _:
                return None
        self._raw.append(line)
        self._block_bytes += len(line)
        return None

    def _dispatch(self) -> Frame | None:
        if self._id is not None:
            self.last_event_id = self._id
        frame = None
        # The specification tests the buffer *before* it drops the last line end, so a lone
        # `data:` line is an event whose data is empty.
        if self._data:
            text = "\n".join(self._data)
            raw = b"\n".join(self._raw)
            frame = Frame(self._id, self._event or "message", text, raw, self.last_event_id)
        self._clear()
        return frame

    def _clear(self) -> None:
        self._data, self._event, self._id = [], "", None
        self._raw, self._block_bytes = [], 0


class EventStream:
    """One response read as events. Iterate for the frames; afterwards `ended` says how it ended."""

    def __init__(self, made: Exchange) -> None:
        self._exchange = made
        self._parser = Parser()
        self._frames: deque[Frame] = deque()
        self.status = made.status
        self.headers = made.headers

    @property
    def ended(self) -> Ended | None:
        """None while it is open."""
        return self._exchange.ended

    @property
    def retry_ms(self) -> int | None:
        return self._parser.retry_ms

    @property
    def comments(self) -> int:
        return self._parser.comments

    @property
    def last_event_id(self) -> str:
        return self._parser.last_event_id

    def leave(self) -> None:
        """Close the socket now, without notice, as a viewer does that loses its network."""
        self._exchange.close()
        self._frames.clear()

    async def problem(self) -> Any:
        """The JSON body of a response whose status is not 200; None if the body is empty."""
        pieces = [piece async for piece in self._pieces()]
        return json.loads(b"".join(pieces)) if pieces else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while not self._frames:
            piece = await self._exchange.read() if self.status == 200 else b""
            if not piece:
                raise StopAsyncIteration
            self._frames.extend(self._parser.feed(piece))
        return self._frames.popleft()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self._exchange.read():
            yield piece


def events_url(base_url: str, generation_id: str, *, after: str | None = None, fold: bool | None = None) -> str:
    """The address of the events of a generation. `after` is percent-encoded, so it may be any text."""
    query = []
    if after is not None:
        query.append(f"after={quote(after, safe='')}")
    if fold is not None:
        query.append(f"fold={'true' if fold else 'false'}")
    return f"{base_url}/v1/generations/{generation_id}/events" + ("?" + "&".join(query) if query else "")


@contextlib.asynccontextmanager
async def open_events(
    base_url: str,
    generation_id: str,
    *,
    after: Cursor | str | None = None,
    by: Literal["header", "query"] = "header",
    fold: bool | None = None,
    headers: Headers = (),
) -> AsyncIterator[EventStream]:
    """Open the events of a generation, resuming after a cursor. Raises OSError if no response comes."""
    cursor = None if after is None else str(after)
    all_headers = [("Accept", "text/event-stream"), *headers]
    if cursor is not None and by == "header":
        all_headers.append(("Last-Event-ID", cursor))
    url = events_url(base_url, generation_id, after=cursor if by == "query" else None, fold=fold)
    async with exchange("GET", url, headers=all_headers) as made:
        yield EventStream(made)


@contextlib.asynccontextmanager
async def open_stream(method: str, url: str, *, headers: Headers = (), body: Any = None) -> AsyncIterator[EventStream]:
    """Send any request whose response is an event stream."""
    all_headers = [("Accept", "text/event-stream"), ("Content-Type", "application/json"), *headers]
    data = None if body is None else json.dumps(body).encode()
    async with exchange(method, url, headers=all_headers, body=data) as made:
        yield EventStream(made)
