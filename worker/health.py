"""Owns the worker's answers to an orchestrator: `/healthz`, `/readyz` and `/metrics` on a port of its own.

Knows nothing of generations. aiohttp is in the process already, for the providers; of its server only what three paths
need is used: one connection is one request, of bounded size and time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web

from outlive.shared.errors import SettingsError
from outlive.shared.telemetry.metrics import CONTENT_TYPE

_FIELD_BYTES: Final = 8192
"""Of the request line, and of one header; aiohttp takes 128 headers."""
_REQUEST_S: Final = 5.0

Check = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def serving(port: int | None, is_ready: Check, exposition: Callable[[], bytes]) -> AsyncIterator[None]:
    """Serve while inside, on all addresses, because an orchestrator asks from outside; without a port serve nothing.
    `exposition` gives the metrics as Prometheus reads them. Raises `SettingsError` when the port is taken.

    `/healthz` needs no check: a worker of which a part has died ends, and a worker whose event loop hangs does not
    reply.
    """
    if port is None:
        yield
        return

    async def handle(request: web.BaseRequest) -> web.Response:
        response = await _respond(request.method, request.raw_path, is_ready, exposition)
        response.force_close()
        # aiohttp would name its version and Python's.
        response.headers["Server"] = "outlive"
        return response

    loop = asyncio.get_running_loop()
    connections = web.Server(handle)
    try:
        server = await loop.create_server(lambda: _Connection(connections, loop=loop), port=port)
    except OSError as error:
        raise SettingsError(
            f"OUTLIVE_WORKER_PORT: cannot listen on {port}: {error.strerror or error}. Choose a free port."
        ) from error
    try:
        yield
    finally:
        server.close()
        await connections.shutdown(timeout=0)


async def _respond(method: str, path: str, is_ready: Check, exposition: Callable[[], bytes]) -> web.Response:
    match method, path:
        case "GET" | "HEAD", "/healthz":
            return web.Response()
        case "GET" | "HEAD", "/readyz":
            return web.Response(status=HTTPStatus.OK if await is_ready() else HTTPStatus.SERVICE_UNAVAILABLE)
        case "GET", "/metrics":
            return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE})
    return web.Response(status=HTTPStatus.NOT_FOUND)


class _Connection(web.RequestHandler):
    """Closed without a reply when the client sends too much, too slowly or nothing, or does not read."""

    def __init__(self, connections: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            connections,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None switches it off
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
            lingering_time=0,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # uvloop's transports are asyncio's only by their methods.
        asyncio.get_running_loop().call_later(_REQUEST_S, cast(asyncio.Transport, transport).abort)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status == HTTPStatus.BAD_REQUEST or isinstance(exc, _NotARequest):
            raise _NotARequest
        return super().handle_error(request, status, exc, message)


class _NotARequest(ConnectionError):
    """aiohttp closes the connection after a `ConnectionError`; otherwise it would reply, and log a traceback."""
