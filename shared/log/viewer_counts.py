"""Owns how many viewers a generation has over all API processes, as each process reports it to the others.

A count is a courtesy, never the truth about a log. It is at most a second late, and the count of a process that died
stays valid for up to `EXPIRY_S`. Raises `LogUnavailable`.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from outlive.shared.store import scripts
from outlive.shared.store.cluster import Client
from outlive.shared.store.keyspace import Keys

EXPIRY_S: Final = 15.0
"""How long a count is valid. A living process reports it three times within."""

_WATCHED: Final = scripts.load("watched")
_VIEWERS: Final = scripts.load("viewers", allow_oom=True)


class ViewerCounts:
    """The counts of one API process among all on one Redis."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._process = secrets.token_hex(8)

    async def tell(self, counts: Mapping[str, int]) -> None:
        """Report this process's viewers per generation id, all in one pipeline. Redis keeps no count for a generation
        that is gone, nor while it is full."""
        await scripts.run_many(self._redis, self.calls(counts))

    def calls(self, counts: Mapping[str, int]) -> list[scripts.Call]:
        """The script calls of `tell`: one for each generation."""
        expiry_ms = round(EXPIRY_S * 1000)
        return [
            scripts.Call(
                _WATCHED, self._keys.of_script(generation_id), (generation_id, self._process, count, expiry_ms)
            )
            for generation_id, count in counts.items()
        ]

    async def elsewhere(self, generation_id: str) -> int:
        """Viewers on all other processes."""
        call = scripts.Call(_VIEWERS, self._keys.of_script(generation_id), (generation_id, self._process))
        return int(await scripts.run(self._redis, call))
