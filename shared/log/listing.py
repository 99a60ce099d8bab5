"""Owns the list of a tenant's generations, newest first: the order, and one page of it.

Knows ids and times of creation only; `reader.py` reads what became of each. A position in the list is a time and an
id, not a count. So a page stays the same while clients create newer generations and delete others. Raises
`LogUnavailable`.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import is_id
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import translated
from outlive.shared.store.keyspace import PARTITIONS, Keys

_MAX_DIGITS: Final = 15
_MALFORMED: Final = "`before` is not a `next` of this list; send the `next` of the last page you got, or leave it out."


class ListPosition(NamedTuple):
    """One generation's position. Orders by time, and within one millisecond by id."""

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
        """The `count` newest before a position, newest first; fewer at the end of the list.

        One pipeline asks each partition for the whole page, because one partition may hold all of it.
        """
        indexes = [self._keys.index(partition, tenant) for partition in range(PARTITIONS)]
        latest = "+inf" if before is None else f"({before.created_ms}"
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for index in indexes:
                    pipe.zrevrangebyscore(index, latest, "-inf", start=0, num=count, withscores=True)
                if before is not None:
                    # Those created in the very same millisecond: a handful.
                    for index in indexes:
                        pipe.zrangebyscore(index, before.created_ms, before.created_ms, withscores=True)
                replies = await pipe.execute()
        positions = [ListPosition(int(score), member.decode()) for reply in replies for member, score in reply]
        return page_of(positions, before, count)


def page_of(positions: Iterable[ListPosition], before: ListPosition | None, count: int) -> list[ListPosition]:
    """The `count` newest of these that come after `before` in the list, newest first."""
    return sorted((each for each in positions if before is None or each < before), reverse=True)[:count]
