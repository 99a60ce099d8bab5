"""Owns a hub that runs, and what its viewers receive, parsed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from starlette.types import Message

from outlive.api.fanout.hub import Hub
from outlive.api.fanout.sink import SendSink
from tests.support.sse import Frame, Parser


class Screen:
    """What one viewer has received, parsed."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ended = False
        self._parser = Parser()

    async def send(self, message: Message) -> None:
        self.frames += self._parser.feed(message["body"])
        self.ended = not message["more_body"]

    def sink(self) -> SendSink:
        return SendSink(self.send)

    @property
    def retry_ms(self) -> int | None:
        return self._parser.retry_ms

    @property
    def kinds(self) -> list[str]:
        return [frame.event for frame in self.frames]

    def shows(self, kind: str) -> Callable[[], bool]:
        return lambda: kind in self.kinds


@asynccontextmanager
async def running_hub(hub: Hub) -> AsyncIterator[Hub]:
    task = asyncio.ensure_future(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
