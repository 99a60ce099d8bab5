"""Owns thousands of viewers for the scale benchmark: sockets that read and count, and nothing more.

A client that parsed its events would cost more than the API that sends them.
"""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

_ID: Final = b"\nid: "


class Watch(asyncio.Protocol):
    """The connection of one viewer."""

    def __init__(self, url: str, generation_id: str) -> None:
        self.events = 0
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._path = f"/v1/generations/{generation_id}/events?fold=false"

    async def open(self) -> "Watch":
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self._host, self._port)
        return self

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        # One id in thousands is split over two reads; the figures do not depend on it.
        self.events += data.count(_ID)

    def close(self) -> None:
        self._transport.abort()


async def watch(urls: list[str], generation_ids: list[str], each: int) -> list[Watch]:
    """So many viewers for each generation, spread over the API processes."""
    opening = [
        Watch(urls[(i + n) % len(urls)], generation_id).open()
        for i, generation_id in enumerate(generation_ids)
        for n in range(each)
    ]
    return await asyncio.gather(*opening)
