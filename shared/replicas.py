"""Owns the question whether what was written has arrived at a replica.

WAIT speaks of what its own connection has written, and after nothing it answers at once: asked on a
pool it means nothing. So this has one connection to itself and writes a word before it asks; what
the server took before that word has then arrived as well.
"""

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shared.connection import BLOCK_S, replies_of, translated
from shared.keys import Keys


class Replicas:
    """The replicas of one server. Raises `LogUnavailable`."""

    def __init__(self, blocking: Redis, keys: Keys) -> None:
        """`blocking`: a client of `connect_blocking`."""
        self._redis = blocking
        self._word = keys.written

    async def count(self) -> int:
        """How many are connected now; 0 where the server does not let us ask."""
        with translated():
            try:
                info = await self._redis.info("replication")
            except NoPermissionError:
                return 0
        return int(info.get("connected_slaves", 0))

    async def have_all(self) -> bool:
        """Whether one of them has everything written before this call; waits at most `BLOCK_S`."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(self._word, 1, px=round(BLOCK_S * 1000))
                pipe.wait(1, round(BLOCK_S * 1000))
                _, reached = await replies_of(pipe)
        return bool(reached)
