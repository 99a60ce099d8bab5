"""Owns a log that says nothing: one API process writes it, and reads it as it reads all others.

So it learns how late events reach it, by its own clock alone: an event of a generation carries no
time, and a time of another machine would say little. Raises `LogUnavailable`.
"""

import secrets
from contextlib import suppress
from typing import Final

from redis.exceptions import ResponseError

from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import replies_of, translated
from outlive.shared.store.keyspace import Keys

_EXPIRY_MS: Final = 60_000


class ProbeLog:
    """This process's own."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self.key = keys.probe(secrets.token_hex(8))

    async def write(self, number: int) -> None:
        """One event, the only one kept. Numbers rise, so no clock of the server's is asked.

        Refused, for whatever reason, it does not come back, and that is all: also when it is in
        already, and was sent again after its reply was lost.
        """
        with translated(), suppress(ResponseError):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(self.key, {"type": "probe", "data": "{}"}, id=f"{number}-0", maxlen=1, approximate=False)
                pipe.pexpire(self.key, _EXPIRY_MS)
                await replies_of(pipe)
