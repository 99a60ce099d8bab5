"""Owns a viewer on the WebSocket: one connection, whose messages become the frames that SSE would send."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.raw_http import Headers
from tests.support.sse import Frame

_NOT_EVENTS = frozenset({"heartbeat", "retry"})


class WebSocketStream:
    """Iterate for the frames; afterwards `code` says how it ended."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.others: list[str] = []
        """The types of the messages that are not events."""

    @property
    def code(self) -> int | None:
        return self.connection.close_code

    async def cancel(self) -> None:
        """Cancel the generation."""
        await self.connection.send('{"type": "cancel"}')

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while True:
            try:
                message = await self.connection.recv()
            except ConnectionClosed:
                return
            body = json.loads(message)
            if body["event"] in _NOT_EVENTS:
                self.others.append(body["event"])
            else:
                yield _frame(body)


@asynccontextmanager
async def open_socket(
    base_url: str,
    generation_id: str,
    *,
    after: str | None = None,
    origin: str | None = None,
    token: str | None = None,
    headers: Headers = (),
) -> AsyncIterator[WebSocketStream]:
    """Open the WebSocket of a generation, resuming after a cursor."""
    query = urlencode({name: value for name, value in (("after", after), ("token", token)) if value is not None})
    url = f"{base_url.replace('http', 'ws', 1)}/v1/generations/{generation_id}/ws?{query}"
    sent = [(name, str(value)) for name, value in headers]
    async with connect(
        url, origin=cast(Any, origin), additional_headers=sent, proxy=None, open_timeout=10, close_timeout=2
    ) as connection:
        yield WebSocketStream(connection)


def _frame(message: dict[str, object]) -> Frame:
    text = json.dumps(message["data"], ensure_ascii=False, separators=(",", ":"))
    sent_id = message.get("id")
    frame_id = None if sent_id is None else str(sent_id)
    return Frame(frame_id, str(message["event"]), text, b"", frame_id or "")
