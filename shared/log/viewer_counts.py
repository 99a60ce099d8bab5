"""Owns how many viewers a generation has over all API processes, as one process tells the others.

A count is a courtesy, never the truth about a log: it is at most a second late, and that of a process
that died is believed for `EXPIRY_S` more. Raises `LogUnavailable`.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from outlive.shared.store import scripts
from outlive.shared.store.cluster import Client
from outlive.shared.store.keyspace import Keys

EXPIRY_S: Final = 15.0
"""How long a count is believed. It is told again three times within."""

_WATCHED: Final = scripts.load("watched")
_VIEWERS: Final = scripts.load("viewers", allow_oom=True)


class ViewerCounts:
    """One API process's voice among those on one Redis."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._process = secrets.token_hex(8)

    async def tell(self, counts: Mapping[str, int]) -> None:
        """This process's viewers per generation id, all in one pipeline. Nothing is kept for a
        generation that is gone, nor on a Redis that is full."""
        expiry_ms = round(EXPIRY_S * 1000)
        calls = [
            scripts.Call(
                _WATCHED, self._keys.of_script(generation_id), (generation_id, self._process, count, expiry_ms)
            )
            for generation_id, count in counts.items()
        ]
        await scripts.run_many(self._redis, calls)

    async def elsewhere(self, generation_id: str) -> int:
        """Viewers on all other processes."""
        call = scripts.Call(_VIEWERS, self._keys.of_script(generation_id), (generation_id, self._process))
        return int(await scripts.run(self._redis, call))
