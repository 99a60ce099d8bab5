"""Owns a hub at work for tests with a real Redis. Its viewers' screens: `tests/support/fanout.py`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from outlive.api.fanout.hub import Hub


@asynccontextmanager
async def running_hub(hub: Hub) -> AsyncIterator[Hub]:
    task = asyncio.ensure_future(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
