"""Owns a log without content: one API process writes it, and reads it as it reads all other logs.

So the process learns how late events reach it, by its own clock alone. An event of a generation carries no time, and
the clock of another machine would say little. Raises `LogUnavailable`.
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
    """The probe log of this process."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self.key = keys.probe(secrets.token_hex(8))

    async def write(self, number: int) -> None:
        """Write one event, the only one that is kept. `number` must rise: it is the event's id, so the server's clock
        decides nothing.

        If Redis refuses the event, for whatever reason, it is simply missing. Redis also refuses one that is in the
        log already, because redis-py sends it again when its reply was lost.
        """
        with translated(), suppress(ResponseError):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(self.key, {"type": "probe", "data": "{}"}, id=f"{number}-0", maxlen=1, approximate=False)
                pipe.pexpire(self.key, _EXPIRY_MS)
                pipe.execute_command("SPUBLISH", self.key, f"{number - 1}-0\n{number}-0\nprobe\n{{}}")
                await replies_of(pipe)
