"""Owns the call to one Chat Completions provider through the openai SDK, and its socket.

Leaving `open` closes the socket, whatever the reason. Retries and timeouts are not here: the SDK's own are off, because
it retries only failures before the first byte, and hides them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI, AsyncStream
from pydantic import SecretStr

from outlive.shared.model.codec import encode_json
from outlive.shared.upstreams import NAME
from outlive.worker.upstream.aiohttp_transport import Transport, body_of
from outlive.worker.upstream.chunks import chunks_of
from outlive.worker.upstream.provider_errors import not_a_stream, translated_failures
from outlive.worker.upstream.read_limits import PLAIN, bound, content_type, is_stream

_CONNECT_S: Final = 5.0
# Nothing else has a limit here: `model_turn.py` measures silence, and comments do not end it there.
_TIMEOUT: Final = httpx2.Timeout(None)


def connect_upstream(base_url: str | None, api_key: SecretStr | None, *, connections: int) -> AsyncOpenAI:
    """One client per provider and process: the TLS context alone costs 20 ms."""
    transport = Transport(connections=connections, connect_s=_CONNECT_S)
    return AsyncOpenAI(
        base_url=base_url,
        api_key="none" if api_key is None else api_key.get_secret_value(),
        max_retries=0,
        timeout=_TIMEOUT,
        http_client=httpx2.AsyncClient(transport=transport, headers=PLAIN, event_hooks={"response": [bound]}),
    )


class ChatUpstream:
    """An OpenAI-compatible provider."""

    def __init__(self, name: str, client: AsyncOpenAI, *, at_once: int, max_output_tokens: int) -> None:
        self.name = name
        self._client = client
        self.max_output_tokens = max_output_tokens
        self.permit = asyncio.Semaphore(at_once)
        """Held while a request is open, and waited for before any timeout of the provider runs."""

    @asynccontextmanager
    async def open(self, request: dict[str, Any], headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[Any]]:
        """Chunks as decoded JSON, while the context lasts. Raises `UpstreamError`.

        `post` instead of `chat.completions.create`: the caller's request goes out as it came, including fields that the
        SDK does not know and halves of characters. The SDK handles everything before the stream (statuses,
        connections); we read the stream ourselves, because the SDK takes ten times as long (`sse_parser.py`).
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
                # The parser skips lines that are not events: a page of HTML would be an empty answer.
                if not is_stream(stream.response):
                    raise not_a_stream(content_type(stream.response), await stream.response.aread())
                yield chunks_of(body_of(stream.response).read)

    async def aclose(self) -> None:
        await self._client.close()
