"""Owns the bytes to and from a provider: aiohttp under the SDK's client.

httpx2's own transport reads HTTP in Python: 40 us of CPU for a chunk that comes alone, a third of a worker's time.
aiohttp's parser is C: 9 us. The SDK brings a transport of this kind, too; but it reads half a megabyte per answer
ahead, which we must bound (R22), and lets some of aiohttp's failures through. Knows nothing of events.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from outlive.worker.upstream.provider_errors import ConnectionFailed

_BODY: Final = "outlive.body"
_MAX_HEADS: Final = 16
"""Heads that wait to be read on one connection, which carries one request at a time."""

_READ_AHEAD_BYTES: Final = 16_384
"""When twice as much waits to be read, the socket is not read: this holds many events in little memory."""

_RECEIVE_BUFFER_BYTES: Final = 131_072
"""Linux would buffer up to 32 MB of an answer that is not read, and the provider would never be held back. This much
allows 1 MB/s at a round trip of 100 ms: a thousand times the output of a model."""


_KEEPALIVE: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
    if hasattr(socket, name)
)
_MAX_HEADER_BYTES: Final = 65_536
"""Of one header: gateways send policies and traces of more than aiohttp's 8 kB."""
_MAX_REDIRECTS: Final = 4
_REPEATABLE_REDIRECTS: Final = frozenset({307, 308})
"""The others ask for a GET, which would lose the request."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_STALE: Final = 128
_DIED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)


@dataclass(slots=True)
class _Use:
    """The connection that one try of a request was given."""

    is_reused: bool = False


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
        """Raises `ConnectionFailed`."""
        data = await request.aread()
        url = request.url
        for followed in range(_MAX_REDIRECTS + 1):
            response = await self._send(request, url, data)
            if followed == _MAX_REDIRECTS or response.status not in _REPEATABLE_REDIRECTS:
                break
            target = url.join(response.headers.get("location", ""))
            if not _may_follow(url, target):
                break
            response.release()
            url = target
        _watch(response)
        body = Body(response)
        return httpx2.Response(response.status, headers=response.raw_headers, stream=body, extensions={_BODY: body})

    async def _send(self, request: httpx2.Request, url: httpx2.URL, data: bytes) -> aiohttp.ClientResponse:
        """Send it, and at once again where a connection that was kept open turned out to be dead: a load balancer
        forgets idle connections without a word, and one that dies without a byte has not been asked anything."""
        for _ in range(_MAX_STALE):
            connection = _Use()
            try:
                return await self._session.request(
                    request.method,
                    URL(str(url), encoded=True),
                    headers=request.headers.multi_items(),
                    data=data or None,
                    proxy=self._proxy_of(url),
                    allow_redirects=False,
                    trace_request_ctx=connection,
                )
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                if connection.is_reused and isinstance(error, _DIED):
                    continue
                raise _translated(error) from error
        raise ConnectionFailed("closes each connection before it answers.")

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
                trace_configs=[_reuse_trace()],
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
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
    # A model may think for minutes without a byte. Probes keep routers from forgetting the connection, and find a
    # dead peer.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


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


def _reuse_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.is_reused = True

    trace.on_connection_reuseconn.append(reused)
    return trace


def _may_follow(url: httpx2.URL, target: httpx2.URL) -> bool:
    """Within one origin, and from http to https of one host: the key goes along, so it must not go anywhere else."""
    same_host = url.host == target.host or {url.host, target.host} <= _LOOPBACK
    if (url.scheme, target.scheme) == ("http", "https"):
        return same_host
    return url.scheme == target.scheme and same_host and _port_of(url) == _port_of(target)


def _port_of(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _translated(error: Exception) -> httpx2.TransportError:
    """One of aiohttp's failures as the SDK's client names it, with a sentence that a person can act on."""
    detail = str(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ConnectionFailed("gave no connection in time. Check its address, or raise its connect_s.", detail)
        case aiohttp.ClientConnectorDNSError():
            return ConnectionFailed(f"has a host that is not known here: {error.host}. Check its base URL.", detail)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | aiohttp.ClientSSLError():
            why = _reason(error)
            return ConnectionFailed(
                f"could not be reached by TLS: {why}. Check its certificate, or SSL_CERT_FILE.", detail
            )
        case aiohttp.ClientProxyConnectionError():
            return ConnectionFailed(
                "could not be reached: the proxy of HTTP_PROXY or HTTPS_PROXY does not answer.", detail
            )
        case aiohttp.ClientHttpProxyError():
            return ConnectionFailed(f"could not be reached: the proxy answered {error.status}.", detail)
        case aiohttp.ClientConnectorError() if error.os_error.errno in (errno.EMFILE, errno.ENFILE):
            return ConnectionFailed("could not be reached: this worker has no open files left (ulimit -n).", detail)
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ECONNREFUSED:
            return ConnectionFailed(
                f"refused the connection at {error.host}:{error.port}. Is it running there?", detail
            )
        case aiohttp.ClientConnectorError():
            return ConnectionFailed(f"could not be reached at {error.host}:{error.port}: {_reason(error)}.", detail)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ConnectionFailed("has a base URL, or a proxy, whose address cannot be used.", detail)
        case HttpProcessingError() | aiohttp.ClientResponseError():
            return ConnectionFailed("sent something that is not HTTP.", detail)
    return ConnectionFailed("closed the connection.", detail)


def _reason(error: aiohttp.ClientConnectorError | aiohttp.ClientSSLError) -> str:
    """The system's or OpenSSL's own words."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return str(getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or inner).rstrip(".")


def _proxy_of(url: httpx2.URL) -> str | None:
    """The proxy that the environment names. aiohttp's own reading of it would also take logins from ~/.netrc, and put
    them where the API key belongs."""
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    # curl and others take a proxy without its scheme.
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
