"""Owns an HTTP server whose every response the test writes, also such as our API never would: broken off, stalled.

It stands behind a proxy, or in for a provider, a trace collector or an issuer. Knows just enough of HTTP/1.1.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tests.support.ports import claim_port, release_port


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int = 1
    """The number of its connection, from 1 on."""
    names: tuple[str, ...] = ()
    """Of its headers, as they were written."""


_MAX_HEAD: Final = 1_048_576

Respond = Callable[[ReceivedRequest, asyncio.StreamWriter], Awaitable[None]]
"""Writes the response; the server closes the connection when it returns, unless the server keeps connections."""


class ScriptedServer:
    """One such server; a test may replace `respond` between requests."""

    def __init__(self, respond: Respond, *, keeps: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """`keeps`: whether a connection is open for the next request, until `respond` closes it."""
        self.respond = respond
        self._keeps = keeps
        self._tls = tls
        self.port = claim_port()
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.open = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls, limit=_MAX_HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        release_port(self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # The task cannot close it: a task that is cancelled before it begins runs no code.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        connection = self.connections
        try:
            while not writer.is_closing():
                request = await _read(reader, connection)
                self.requests.append(request)
                await self.respond(request, writer)
                if not self._keeps:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has left, as it may.
        finally:
            self.open -= 1


async def _read(reader: asyncio.StreamReader, connection: int) -> ReceivedRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    names = tuple(line.partition(":")[0] for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReceivedRequest(head[0], headers, body, connection, names)


def whole_response(*headers: str, body: bytes = b"") -> bytes:
    """A whole response with status 200."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
