"""Owns the bytes to and from a provider: aiohttp under the SDK's client.

httpx2's own transport reads HTTP in Python: 40 us of CPU for a chunk that comes alone, a third of a worker's time.
aiohttp's parser is C: 9 us. The SDK brings a transport of this kind, too; but it reads half a megabyte per answer
ahead, which we must bound (R22), and lets some of aiohttp's failures through. Knows nothing of events.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

_BODY: Final = "outlive.body"
_MAX_HEADS: Final = 16
"""Heads that wait to be read on one connection, which carries one request at a time."""

_READ_AHEAD_BYTES: Final = 16_384
"""When twice as much waits to be read, the socket is not read: this holds many events in little memory."""

_RECEIVE_BUFFER_BYTES: Final = 131_072
"""Linux would buffer up to 32 MB of an answer that is not read, and the provider would never be held back. This much
allows 1 MB/s at a round trip of 100 ms: a thousand times the output of a model."""


class Transport(httpx2.AsyncBaseTransport):
    """One process's connections to providers."""

    def __init__(self, *, connections: int, connect_s: float) -> None:
        """`connect_s`: how long to wait for a connection, including the wait for a free one."""
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(connect=connect_s)
        self._opened: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}
        """By host, of which a client has one: reading the environment takes 150 us."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        data = await request.aread()
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=data or None,
                proxy=self._proxy_of(request.url),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _translated(error) from error
        _watch(response)
        body = Body(response)
        return httpx2.Response(response.status, headers=response.raw_headers, stream=body, extensions={_BODY: body})

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    def _proxy_of(self, url: httpx2.URL) -> str | None:
        if url.host not in self._proxies:
            self._proxies[url.host] = _proxy_of(url)
        return self._proxies[url.host]

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Opened at the first request, because it belongs to the running loop."""
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections, ssl=httpx2.create_ssl_context(), socket_factory=_socket
            )
            connector._factory = partial(_Handler, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # a subclass
            self._opened = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                read_bufsize=_READ_AHEAD_BYTES,
            )
        return self._opened


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    new = socket.socket(family, kind, protocol)
    # Before it connects, because TCP agrees then on how large a window may become.
    new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return new


class _Handler(ResponseHandler):
    """Hangs up on a provider that sends response heads without end: aiohttp (3.14) keeps a kilobyte of each `100
    Continue`, and a provider can send tens of thousands a second."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > _MAX_HEADS and self.transport is not None:
            self.set_exception(aiohttp.ClientPayloadError("response heads without end"))
            self.transport.abort()


class Body(httpx2.AsyncByteStream):
    """The provider's bytes, as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises `httpx2.TransportError`."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _translated(error) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def aclose(self) -> None:
        # Closes the socket, unless everything was read and another request can use it.
        self._response.release()


def _watch(response: aiohttp.ClientResponse) -> None:
    """Tell the body's reader when the connection is lost. aiohttp (3.14) does not where it hangs up itself because the
    bytes are not HTTP: the reader would wait until the provider's idle timeout."""
    protocol = response.connection.protocol if response.connection else None
    if protocol is None or (lost := protocol.closed) is None:
        return
    content = response.content

    def on_lost(lost: asyncio.Future[None]) -> None:
        if not lost.cancelled():
            # aiohttp itself raises it for the reader; read it here, so that asyncio does not report it.
            lost.exception()
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection broke off"))

    lost.add_done_callback(on_lost)


def body_of(response: httpx2.Response) -> Body:
    """The body of a response that came through `Transport`, without the client's wrapping: four generators, which cost
    5 us a chunk. The client still closes it."""
    body: Body = response.extensions[_BODY]
    return body


def _translated(error: Exception) -> httpx2.TransportError:
    """One of aiohttp's failures as an exception of the SDK's client."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx2.ConnectTimeout(str(error))
    return httpx2.NetworkError(str(error))


def _proxy_of(url: httpx2.URL) -> str | None:
    """The proxy that the environment names. aiohttp's own reading of it would also take logins from ~/.netrc, and put
    them where the API key belongs."""
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")
