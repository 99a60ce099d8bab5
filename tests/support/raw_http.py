"""Owns one HTTP/1.1 exchange on its own socket, with asyncio streams and h11 only.

A client library would pool, retry, follow redirects and buffer. A test must see what came over the wire and how
it ended. Knows nothing of SSE or of Outlive.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import h11

Headers = Iterable[tuple[str, str | bytes]]

_READ_BYTES: Final = 65_536


class Ended(StrEnum):
    """How a response's body ended."""

    CLEAN = "clean"
    """The last chunk, or the last byte of Content-Length."""
    CUT = "cut"
    """A reset, or an end of file in the middle or without an announced end."""
    LEFT = "left"
    """We closed it."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. Header names are lower case; of repeated headers the last value counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """One request and its response, read piece by piece. Made by `exchange`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended: Ended | None = None
        self._has_end = False

    async def send(self, method: str, url: str, headers: Headers, body: bytes | None) -> None:
        """Send the request and read the head of the response. Raises OSError if none comes."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = [("Host", parts.netloc), ("Connection", "close"), *headers]
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        all_headers = [
            (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in fields
        ]
        data = self._http.send(h11.Request(method=method, target=target, headers=all_headers)) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        # A server may refuse a request that is too large before it has read all of it; its response is still
        # worth reading.
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()
        event = await self._next()
        if not isinstance(event, h11.Response):
            raise ConnectionResetError("closed before it responded")
        self.status = event.status_code
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        self._has_end = (
            "chunked" in self.headers.get("transfer-encoding", "")
            or "content-length" in self.headers
            or self.status in (204, 304)
        )

    async def read(self) -> bytes:
        """The next piece of the body. Empty at its end; then `ended` says how it ended."""
        if self.ended is not None:
            return b""
        event = await self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        # A body without announced length ends with the connection. Nobody can know whether it is whole, so it counts
        # as cut.
        whole = isinstance(event, h11.EndOfMessage) and self._has_end
        self.ended = Ended.CLEAN if whole else Ended.CUT
        return b""

    def close(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self.ended is None:
            self.ended = Ended.LEFT
        self._writer.transport.abort()

    async def _next(self) -> h11.Response | h11.Data | h11.EndOfMessage | None:
        """The next event of the response; None if the connection broke."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return None
            if isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                return event
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.InformationalResponse):
                    continue
                return None
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                return None
            self._http.receive_data(data)


@contextlib.asynccontextmanager
async def exchange(
    method: str, url: str, *, headers: Headers = (), body: bytes | None = None
) -> AsyncIterator[Exchange]:
    """Send one request; read the body inside the block. Raises OSError if no response comes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=_READ_BYTES)
    made = Exchange(reader, writer)
    try:
        await made.send(method, url, headers, body)
        yield made
    finally:
        made.close()


async def request(
    method: str, url: str, *, headers: Headers = (), body: Any = None, within_s: float = 10.0
) -> Response:
    """One request and the whole response. `body` is bytes, or any value for JSON.

    Raises OSError if no response comes or it is cut, TimeoutError after `within_s`.
    """
    all_headers = list(headers)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        all_headers.append(("Content-Type", "application/json"))
    async with asyncio.timeout(within_s), exchange(method, url, headers=all_headers, body=body) as made:
        pieces = []
        while piece := await made.read():
            pieces.append(piece)
        if made.ended is Ended.CUT:
            raise ConnectionResetError(f"{method} {url}: the response was cut")
        return Response(made.status, made.headers, b"".join(pieces))
