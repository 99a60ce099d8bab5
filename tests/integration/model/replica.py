"""Owns the failover, imitated on one server: what a replica has of one generation, and its promotion.

DUMP the keys now and RESTORE them later: everything written in between is lost, meta, log, request
and deadline together, as when a primary dies before its replica has it.
"""

from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from outlive.shared.log.reader import Logged
from outlive.shared.store.keyspace import Keys, partition_of
from tests.integration.logs import meta_fields, set_meta, whole_log
from tests.integration.model.known import Known

_AN_HOUR_MS: Final = 3_600_000


@dataclass
class Replica:
    """Of one generation; empty until it has caught up once."""

    redis: Redis
    keys: Keys
    generation_id: str
    known: Known = field(default_factory=Known)
    _dumps: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    _score: float | None = None

    async def catch_up(self, known: Known) -> None:
        """From here on nothing older can be lost; `known` is what the log must be like now."""
        self.known = known
        names = self._names()
        async with self.redis.pipeline(transaction=True) as pipe:
            for name in names:
                pipe.dump(name)
                pipe.pttl(name)
            pipe.zscore(self._deadlines, self.generation_id)
            *replies, self._score = await pipe.execute()
        found = zip(names, replies[::2], replies[1::2], strict=True)
        self._dumps = {name: (dump, max(ttl, 0)) for name, dump, ttl in found if dump is not None}

    async def promote(self, hours_ahead: int) -> list[Logged]:
        """Answer from here on, with a clock that far ahead; the entries that are lost."""
        before = await whole_log(self.redis, self.keys, self.generation_id)
        async with self.redis.pipeline(transaction=True) as pipe:
            for name in self._names():
                if name in self._dumps:
                    dump, ttl = self._dumps[name]
                    pipe.restore(name, ttl, dump, replace=True)
                else:
                    pipe.delete(name)
            if self._score is None:
                pipe.zrem(self._deadlines, self.generation_id)
            else:
                pipe.zadd(self._deadlines, {self.generation_id: self._score - hours_ahead * _AN_HOUR_MS})
            await pipe.execute()
        if hours_ahead and self.known.over is None:
            # The server's clock cannot be moved, so what the former one wrote moves the other way.
            meta = await meta_fields(self.redis, self.keys, self.generation_id)
            names = ("deadline", *(["lease"] if self.known.leased else []), *(["grace"] if "grace" in meta else []))
            moved = {name: int(meta[name]) - hours_ahead * _AN_HOUR_MS for name in names}
            await set_meta(self.redis, self.keys, self.generation_id, **moved)
        after = await whole_log(self.redis, self.keys, self.generation_id)
        return [entry for entry in before if entry not in set(after)]

    @property
    def _deadlines(self) -> str:
        return self.keys.deadlines(partition_of(self.generation_id))

    def _names(self) -> list[str]:
        keys, generation_id = self.keys, self.generation_id
        return [keys.meta(generation_id), keys.log(generation_id), keys.request(generation_id)]
