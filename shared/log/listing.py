"""Owns the list of a tenant's generations, newest first: the order, and a page of it.

Knows ids and times of creation only; what became of each is `reader.py`'s. A place in the list
is a time and an id, not a count, so that a page stays the same while newer ones are made and
others are deleted. Raises `LogUnavailable`.
"""

from typing import Final, NamedTuple, Self

from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import is_id
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import translated
from outlive.shared.store.keyspace import PARTITIONS, Keys

_MAX_DIGITS: Final = 15
_MALFORMED: Final = "`before` is not a `next` of this list."


class ListPosition(NamedTuple):
    """One generation's place. Orders by time; ids tell apart what was made in one millisecond."""

    created_ms: int
    id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<milliseconds>-<id>`. Raises `BadRequest`."""
        created, _, generation_id = text.partition("-")
        if not (created.isascii() and created.isdecimal() and len(created) <= _MAX_DIGITS and is_id(generation_id)):
            raise BadRequest(_MALFORMED)
        return cls(int(created), generation_id)

    def __str__(self) -> str:
        return f"{self.created_ms}-{self.id}"


class Listing:
    """The indexes of all tenants on one Redis."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def page(self, tenant: str, before: ListPosition | None, count: int) -> list[ListPosition]:
        """The `count` newest before a place, newest first; fewer when the list ends there.

        One pipeline over all partitions. Each is asked for the whole page, because all of it may
        be in one of them.
        """
        indexes = [self._keys.index(partition, tenant) for partition in range(PARTITIONS)]
        latest = "+inf" if before is None else f"({before.created_ms}"
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for index in indexes:
                    pipe.zrevrangebyscore(index, latest, "-inf", start=0, num=count, withscores=True)
                if before is not None:
                    # What was made in the very same millisecond: a handful.
                    for index in indexes:
                        pipe.zrangebyscore(index, before.created_ms, before.created_ms, withscores=True)
                replies = await pipe.execute()
        places = [ListPosition(int(score), member.decode()) for reply in replies for member, score in reply]
        return sorted((place for place in places if before is None or place < before), reverse=True)[:count]
