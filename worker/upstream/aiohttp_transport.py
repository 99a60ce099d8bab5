"""Owns the bytes to and from a provider: aiohttp under the SDK's client.

httpx2's own transport reads HTTP in Python: 40 us of CPU for a chunk that comes alone, a third of all
that a worker did. aiohttp's parser is C: 9 us. The SDK brings a transport of this kind, too; it reads
ahead half a megabyte per answer, which is ours to bound (R22), and lets some of aiohttp's failures
through. Knows nothing of events.
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
"""Waiting to be read on one connection, which is asked one question at a time."""

_READ_AHEAD_BYTES: Final = 16_384
"""When twice as much waits to be read, the socket is not read: many events, and little memory."""

_RECEIVE_BUFFER_BYTES: Final = 131_072
"""Linux would take in up to 32 MB of an answer that nobody reads, and the provider would never feel it.
This much is 1 MB/s at a round trip of 100 ms: a thousand times what a model says."""


class Transport(httpx2.AsyncBaseTransport):
    """One process's connections to providers."""

    def __init__(self, *, connections: int, connect_s: float) -> None:
        """`connect_s`: until a connection is there, and our turn has come."""
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(connect=connect_s)
        self._opened: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}
        """By host, of which a client has one: to look through the environment takes 150 us."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        data = await request.aread()
        try:
            answer = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=data or None,
                proxy=self._proxy_of(request.url),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _named(error) from error
        _watch(answer)
        body = Body(answer)
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=body, extensions={_BODY: body})

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    def _proxy_of(self, url: httpx2.URL) -> str | None:
        if url.host not in self._proxies:
            self._proxies[url.host] = _proxy_of(url)
        return self._proxies[url.host]

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Opened late, because it belongs to the running loop."""
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
    made = socket.socket(family, kind, protocol)
    # Before it connects: TCP agrees then on how far a window may grow.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return made


class _Handler(ResponseHandler):
    """Hangs up on a provider that begins answer after answer: aiohttp (3.14) keeps a kilobyte of each `100
    Continue`, and is sent tens of thousands a second."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > _MAX_HEADS and self.transport is not None:
            self.set_exception(aiohttp.ClientPayloadError("answers without end"))
            self.transport.abort()


class Body(httpx2.AsyncByteStream):
    """What the provider says, as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises what the HTTP client raises."""
        try:
            return await self._answer.content.readany()
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _named(error) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def aclose(self) -> None:
        # Closes the socket, unless all was read and it may be used again.
        self._answer.release()


def _watch(answer: aiohttp.ClientResponse) -> None:
    """Let whoever reads know that the connection is lost. aiohttp (3.14) forgets them where it hangs up
    itself, because what came is no HTTP: they would wait until the provider's silence is over."""
    protocol = answer.connection.protocol if answer.connection else None
    if protocol is None or (lost := protocol.closed) is None:
        return
    content = answer.content

    def tell(lost: asyncio.Future[None]) -> None:
        if not lost.cancelled():
            # Told to the reader by aiohttp itself; here it only counts as seen.
            lost.exception()
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection broke off"))

    lost.add_done_callback(tell)


def body_of(response: httpx2.Response) -> Body:
    """The body of an answer that came through `Transport`, past what the client puts around it: four
    generators, which cost 5 us a chunk. Closing it remains the client's."""
    body: Body = response.extensions[_BODY]
    return body


def _named(error: Exception) -> httpx2.TransportError:
    """One of aiohttp's failures, in the words of the SDK's client."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx2.ConnectTimeout(str(error))
    return httpx2.NetworkError(str(error))


def _proxy_of(url: httpx2.URL) -> str | None:
    """As the environment says. aiohttp's own look there would take logins from ~/.netrc as well, and
    put them where the API key belongs."""
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")
