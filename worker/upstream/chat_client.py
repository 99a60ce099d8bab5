"""Owns the requests to one Chat Completions provider through the openai SDK, and their sockets.

Leaving `open` closes the socket, whatever the reason. Retries and clocks are not here: the SDK's
own are off, because it retries only what comes before the first byte and then hides it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from openai import APIStatusError, AsyncOpenAI, AsyncStream

from outlive.shared.errors import SettingsError, UpstreamRefused
from outlive.shared.model.codec import encode_json
from outlive.shared.upstreams import OPENAI_URL
from outlive.worker.upstream.aiohttp_transport import Transport, body_of
from outlive.worker.upstream.chunks import chunks_of
from outlive.worker.upstream.provider_errors import translated_failures
from outlive.worker.upstream.read_limits import PLAIN, bound, content_type
from outlive.worker.upstream.request_shape import RequestShape
from outlive.worker.upstream.version import USER_AGENT

# Nothing else has a limit here: silence is measured in `model_turn.py`, by its own clocks.
_TIMEOUT: Final = httpx2.Timeout(None)
_HEADERS: Final = {"User-Agent": USER_AGENT, "Accept": "text/event-stream, application/json"}
_UNSAID: Final = ("x-stainless-", "openai-organization", "openai-project")
"""Headers of the SDK that go nowhere: relays block its telemetry, and an account is named to its own provider only."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a provider is, and what goes with each request."""

    base_url: str | None
    key: Callable[[], str | None]
    """The key as it is now; None where the provider is asked without one."""
    headers: Mapping[str, Callable[[], str]]
    query: Mapping[str, Callable[[], str]]
    connections: int
    connect_s: float


class ChatUpstream:
    """An OpenAI-compatible provider."""

    def __init__(
        self,
        name: str,
        address: Address,
        shape: RequestShape,
        *,
        first_token_s: float,
        between_tokens_s: float,
        at_once: int,
        max_output_tokens: int,
    ) -> None:
        self.name = name
        self.first_token_s = first_token_s
        self.between_tokens_s = between_tokens_s
        self.max_output_tokens = max_output_tokens
        self.permit = asyncio.Semaphore(at_once)
        """To be held while a request is open. It is waited for before any clock of the provider's runs."""
        self._address = address
        self._shape = shape
        self._client = _connect(address)

    @asynccontextmanager
    async def open(
        self, request: Mapping[str, Any], headers: Mapping[str, str], alive: Callable[[], None]
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Chunks as decoded JSON, while the context lasts. `alive` is called for all that comes from the provider,
        whatever it is. Raises `UpstreamError`.

        `post` instead of `chat.completions.create`: the caller's request goes out as it came, fields
        the SDK does not know and halves of characters included. What it learns before the stream remains
        its own (statuses, connections); the stream itself is ours, because the SDK's costs ten times as
        much (`sse_parser.py`).
        """
        key = self._key()
        with translated_failures(self.name, key):
            stream = await self._ask(request, headers, key)
            async with stream:
                alive()
                body = body_of(stream.response)

                async def read() -> bytes:
                    piece = await body.read()
                    alive()
                    return piece

                yield chunks_of(read, content_type(stream.response))

    @asynccontextmanager
    async def open_models(self) -> AsyncIterator[httpx2.Response]:
        """The response to `GET /models`, asked with all that an answer is asked with. Its body is read by `body_of`.
        Raises `UpstreamError`; where the provider refused, its cause is the SDK's `APIStatusError`."""
        key = self._key()
        with translated_failures(self.name, key):
            own, query = self._own()
            stream = await self._client.get(
                "/models",
                options={"headers": {"Accept": "application/json", **_authorization(key), **own}, "params": query},
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
            async with stream:
                yield stream.response

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(
        self, request: Mapping[str, Any], headers: Mapping[str, str], key: str | None
    ) -> AsyncStream[object]:
        """Send it. What the provider refused because of its shape, or of a key that has changed since, is sent once
        more."""
        while True:
            body = self._shape.body(request)
            try:
                return await self._post(body, headers, key)
            except APIStatusError as error:
                text = error.response.content.decode("utf-8", "replace")
                if error.status_code == httpx2.codes.UNAUTHORIZED and (fresh := self._key()) != key:
                    key = fresh
                elif not self._shape.learn(error.status_code, text, body):
                    raise

    def _key(self) -> str | None:
        with _readable():
            return self._address.key()

    async def _post(self, body: dict[str, Any], headers: Mapping[str, str], key: str | None) -> AsyncStream[object]:
        own, query = self._own()
        return await self._client.post(
            "/chat/completions",
            content=encode_json(body),
            options={"headers": {**headers, **_authorization(key), **own}, "params": query},
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )

    def _own(self) -> tuple[dict[str, str], dict[str, object]]:
        """The headers and the query that the operator wants with each request."""
        with _readable():
            headers = {name: value() for name, value in self._address.headers.items()}
            return headers, {name: value() for name, value in self._address.query.items()}


def _authorization(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


@contextmanager
def _readable() -> Iterator[None]:
    """Around reading what may be in a file, which was there at the start."""
    try:
        yield
    except SettingsError as error:
        raise UpstreamRefused("upstream_auth", error.message) from error


def _connect(address: Address) -> AsyncOpenAI:
    """One client per provider and process: its TLS context alone costs 20 ms."""
    transport = Transport(connections=address.connections, connect_s=address.connect_s)
    named = {name.lower() for name in address.headers}

    async def as_ours(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower().startswith(_UNSAID) and name.lower() not in named:
                del request.headers[name]
        if request.headers.get("authorization") == _NO_KEY:
            del request.headers["authorization"]

    client = AsyncOpenAI(
        # Without one the SDK would read the environment, which may name another server, or nothing.
        base_url=address.base_url or OPENAI_URL,
        api_key="none",
        max_retries=0,
        timeout=_TIMEOUT,
        default_headers=_HEADERS,
        http_client=httpx2.AsyncClient(
            transport=transport, headers=PLAIN, event_hooks={"request": [as_ours], "response": [bound]}
        ),
    )
    # The SDK would add those of OPENAI_CUSTOM_HEADERS, a key among them, for every provider.
    client._custom_headers = _HEADERS
    return client


_NO_KEY: Final = "Bearer none"
