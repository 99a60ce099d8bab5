"""Owns the worker's answers to whoever looks after it: `/healthz`, `/readyz` and `/metrics` on a port of its own.

Knows nothing of generations. On bare sockets, because three words do not need the web framework
that the API has; one connection is one request, of bounded size and time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final

from outlive.shared.errors import SettingsError
from outlive.shared.telemetry.metrics import CONTENT_TYPE

_REQUEST_BYTES: Final = 8192
_REQUEST_S: Final = 5.0

Question = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def serving(port: int | None, is_ready: Question, exposition: Callable[[], bytes]) -> AsyncIterator[None]:
    """Answer while inside; on all addresses, since an orchestrator asks from outside. No port, no answer.

    `/healthz` has no question of its own: a worker of which a part has died ends, and whose event
    loop hangs does not answer.
    """
    if port is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever asks slowly, too much or not at all is left without an answer.
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, is_ready, exposition))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, port=port, limit=_REQUEST_BYTES)
    except OSError as error:
        raise SettingsError(f"OUTLIVE_WORKER_PORT: cannot listen on {port}: {error.strerror or error}.") from error
    async with server:
        yield


async def _answer(head: bytes, is_ready: Question, exposition: Callable[[], bytes]) -> bytes:
    match head.split(b" ", 2)[:2]:
        case [b"GET" | b"HEAD", b"/healthz"]:
            return _response(HTTPStatus.OK)
        case [b"GET" | b"HEAD", b"/readyz"]:
            return _response(HTTPStatus.OK if await is_ready() else HTTPStatus.SERVICE_UNAVAILABLE)
        case [b"GET", b"/metrics"]:
            return _response(HTTPStatus.OK, exposition())
    return _response(HTTPStatus.NOT_FOUND)


def _response(status: HTTPStatus, body: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    if body:
        head += f"Content-Type: {CONTENT_TYPE}\r\n"
    return head.encode() + b"\r\n" + body
