"""Owns a fleet whose logs are on more than one Redis: a cluster, or what Sentinels watch over.

Without links: nodes and Sentinels name servers by their addresses, past anything put between. So I8
is judged here by what the provider saw alone. Knows nothing of what goes wrong.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from tests.chaos.fleet import LEASE_S, Fleet, Link
from tests.chaos.redis_tap import Tap
from tests.support.processes import OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


class Elsewhere(RedisServer):
    """Not ours to start."""

    def __init__(self, url: str) -> None:
        self.url = url


class _NoLink(Link):
    """Hears nothing."""

    def __init__(self, process: OsProcess) -> None:
        self.process = process
        self.tap = Tap()


class WideFleet(Fleet):
    """Two API processes and two workers, on servers that somebody else owns."""

    def __init__(
        self, redis_url: str, log_url: str, mend_servers: Callable[[], Awaitable[None]], **settings: object
    ) -> None:
        """`redis_url`: where the queue is; `log_url`: where the logs are."""
        self.stack = Stack(
            apis=2,
            workers=2,
            redis=Elsewhere(redis_url),
            prefix="ol",
            settings={"lease_s": LEASE_S, "drain_s": 0.3, "feed_linger_s": 2, "log_url": log_url, **settings},
        )
        self._mend_servers = mend_servers
        self._deaf = {process: _NoLink(process) for process in (*self.workers, *self.apis)}

    def link(self, process: OsProcess) -> Link:
        return self._deaf[process]

    async def __aenter__(self) -> Self:
        await self.stack.__aenter__()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.stack.__aexit__(None, None, None)

    async def mend(self) -> None:
        """Every server runs and has its replica, every process works."""
        await self._mend_servers()
        await self.revive(*self.workers, *self.apis)
