"""Owns the call to one Chat Completions provider through the openai SDK, and its socket.

Leaving `open` closes the socket, whatever the reason. Retries and clocks are not here: the SDK's
own are off, because it retries only what comes before the first byte and then hides it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI, AsyncStream
from pydantic import SecretStr

from shared.codec import encode_json
from shared.upstreams import NAME
from worker.upstream.bounds import PLAIN, bound, content_type
from worker.upstream.failures import not_a_stream, parsed, translated_failures

# Reading has no limit here: silence is measured by `attempt.py`, where comments do not count.
_TIMEOUT = httpx2.Timeout(connect=5.0, read=None, write=10.0, pool=5.0)

# Not "all but text/event-stream": some compatible servers stream as text/plain, or without a type.
_NO_STREAM: Final = frozenset({"application/json", "text/html"})


def connect_upstream(base_url: str | None, api_key: SecretStr | None, *, connections: int) -> AsyncOpenAI:
    """One client per provider and process: its TLS context alone costs 20 ms."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return AsyncOpenAI(
        base_url=base_url,
        api_key="none" if api_key is None else api_key.get_secret_value(),
        max_retries=0,
        timeout=_TIMEOUT,
        http_client=httpx2.AsyncClient(
            limits=limits, timeout=_TIMEOUT, headers=PLAIN, event_hooks={"response": [bound]}
        ),
    )


class ChatUpstream:
    """An OpenAI-compatible provider."""

    def __init__(self, client: AsyncOpenAI, *, at_once: int, max_output_tokens: int) -> None:
        self._client = client
        self.max_output_tokens = max_output_tokens
        self.place = asyncio.Semaphore(at_once)
        """To be held while a question is open, and waited for before any clock of the provider's runs."""

    @asynccontextmanager
    async def open(self, request: dict[str, Any], headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[Any]]:
        """Chunks as decoded JSON, while the context lasts. Raises `UpstreamError`.

        `post` instead of `chat.completions.create`: the caller's request goes out as it came, fields
        the SDK does not know and halves of characters included, and chunks stay dicts. Building the
        SDK's typed chunks costs nine times as much, and we look at four fields. Framing, statuses and
        errors sent inside the stream remain the SDK's.
        """
        body = {name: value for name, value in request.items() if name != NAME} | {"stream": True}
        body.setdefault("stream_options", {"include_usage": True})
        with translated_failures():
            stream = await self._client.post(
                "/chat/completions",
                content=encode_json(body),
                options={"headers": dict(headers)},
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
            async with stream:
                # The decoder skips what is no event: a page of HTML would be an empty answer.
                if (kind := content_type(stream.response)) in _NO_STREAM:
                    raise not_a_stream(kind, await stream.response.aread())
                yield parsed(stream)

    async def aclose(self) -> None:
        await self._client.close()
