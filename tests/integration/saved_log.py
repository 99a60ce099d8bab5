"""Owns meta and log of one generation as they were, to be put back later: the effect of a failover to a replica.

What was written between `save` and `restore` is lost, as when a primary dies before its replica has it.
"""

from typing import Any

from redis.asyncio import Redis

from outlive.shared.store.keyspace import Keys


class SavedLog:
    """The keys of one generation; `save` them before `restore`."""

    def __init__(self, redis: Redis, keys: Keys, generation_id: str) -> None:
        self._redis = redis
        self._keys = (keys.meta(generation_id), keys.log(generation_id))
        self._dumps: list[Any] = []

    async def save(self) -> None:
        """Keep what both keys hold now."""
        self._dumps = [await self._redis.dump(key) for key in self._keys]

    async def restore(self) -> None:
        """Put both back at once."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for key, dump in zip(self._keys, self._dumps, strict=True):
                pipe.restore(key, 0, dump, replace=True)
            await pipe.execute()
