"""Owns three real Sentinels for one test, with the primary and the replica that they watch."""

import asyncio
from pathlib import Path
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.redis_server import RedisServer, redis_binary
from tests.support.waiting import until

SERVICE: Final = "outlive"
_SENTINELS: Final = 3
_QUORUM: Final = 2
_WITHIN_S: Final = 30.0


class Sentinel(RedisServer):
    """The Redis program in Sentinel mode."""

    def __init__(self, name: str, primary: RedisServer, *, down_after_s: float) -> None:
        super().__init__(tcp=True, name=name)
        configuration = Path(self.directory) / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind {self.host}\ndir {self.directory}\n"
            f"sentinel monitor {SERVICE} {primary.host} {primary.port} {_QUORUM}\n"
            f"sentinel down-after-milliseconds {SERVICE} {round(down_after_s * 1000)}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        self.command = [str(redis_binary()), str(configuration), "--sentinel"]


class SentinelSet:
    """Three Sentinels, a primary, a replica."""

    def __init__(self, *, down_after_s: float = 1.0) -> None:
        self.first = RedisServer(tcp=True, name="primary")
        self.second = RedisServer(tcp=True, options=["--replicaof", self.first.host, str(self.first.port)], name="copy")
        self.sentinels = [Sentinel(f"sentinel-{i}", self.first, down_after_s=down_after_s) for i in range(_SENTINELS)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{sentinel.host}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    async def __aenter__(self) -> Self:
        try:
            await self.first.start()
            await self.second.start()
            await asyncio.gather(*(sentinel.start() for sentinel in self.sentinels))
            await self.repair()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(one.stop() for one in (*self.sentinels, self.second, self.first)))

    async def primary(self) -> RedisServer:
        """The server that the Sentinels name as primary."""
        return self.first if (await self._master(self.sentinels[0]))["port"] == self.first.port else self.second

    async def promoted(self, dead: RedisServer) -> None:
        """Wait until the Sentinels name the other server."""

        async def replaced() -> bool:
            return dead is not await self.primary()

        await until(replaced, _WITHIN_S, f"a replica that replaces {dead.name}", every_s=0.02)

    async def repair(self) -> None:
        """Start both servers again, and wait until one follows the other and every Sentinel knows all."""
        await asyncio.gather(*(server.start() for server in (self.first, self.second) if not server.running))

        async def whole() -> bool:
            try:
                masters = [await self._master(sentinel) for sentinel in self.sentinels]
                roles = [await self._role(server) for server in (self.first, self.second)]
            except (RedisError, OSError):
                return False
            follows = [role for role in roles if role[0] == b"slave" and role[3] == b"connected"]
            seen = all(one["num-other-sentinels"] == _SENTINELS - 1 and one["num-slaves"] == 1 for one in masters)
            return len(follows) == 1 and seen and not any(one["is_sdown"] for one in masters)

        await until(whole, _WITHIN_S, "the Sentinels know all", every_s=0.05)

    async def _master(self, sentinel: Sentinel) -> dict[str, Any]:
        async with Redis(host=sentinel.host, port=sentinel.port, decode_responses=True) as client:
            master: dict[str, Any] = await client.sentinel_master(SERVICE)  # type: ignore[no-untyped-call]
            return master

    async def _role(self, server: RedisServer) -> list[Any]:
        async with Redis(host=server.host, port=server.port) as client:
            role: list[Any] = await client.execute_command("ROLE")  # type: ignore[no-untyped-call]
            return role
