"""Owns a deployment whose Redis servers somebody else starts: a cluster, or servers that Sentinels watch.

It has no links. Cluster nodes and Sentinels hand out the servers' own addresses, so clients bypass any proxy. I8
is therefore checked by what the provider saw alone. Knows nothing of the fault.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from tests.chaos.deployment import LEASE_S, Deployment, Link
from tests.chaos.redis_tap import Tap
from tests.support.processes import OsProcess
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


class ExternalRedis(RedisServer):
    """A server that the stack must not start or stop."""

    def __init__(self, url: str) -> None:
        self.url = url


class _UntappedLink(Link):
    """Records nothing."""

    def __init__(self, process: OsProcess) -> None:
        self.process = process
        self.tap = Tap()


class ExternalRedisDeployment(Deployment):
    """Two API processes and two workers on the Redis servers behind these addresses."""

    def __init__(
        self, redis_url: str, log_url: str, repair_servers: Callable[[], Awaitable[None]], **settings: object
    ) -> None:
        """`redis_url`: where the queue is; `log_url`: where the logs are."""
        self.stack = Stack(
            apis=2,
            workers=2,
            redis=ExternalRedis(redis_url),
            prefix="ol",
            settings={"lease_s": LEASE_S, "drain_s": 0.3, "feed_linger_s": 2, "log_url": log_url, **settings},
        )
        self._repair_servers = repair_servers
        self._untapped = {process: _UntappedLink(process) for process in (*self.workers, *self.apis)}

    def link(self, process: OsProcess) -> Link:
        return self._untapped[process]

    async def __aenter__(self) -> Self:
        await self.stack.__aenter__()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.stack.__aexit__(None, None, None)

    async def repair(self) -> None:
        """Make every server run and have its replica again, and every process of ours run."""
        await self._repair_servers()
        await self.start_stopped(*self.workers, *self.apis)
