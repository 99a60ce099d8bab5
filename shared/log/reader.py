"""Owns reading logs: meta, a page of events, and the blocking read at the live end.

Knows nothing of viewers. Raw XREAD waits silently for ever after an id that is not in the log, so every reader that
continues from a cursor asks `has` first (R8). Raises `LogUnavailable`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from outlive.shared.errors import GenerationGone, GenerationNotFound
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import DELETED, META_FIELDS, Meta, meta_of
from outlive.shared.model.stored_request import is_slow, unpack
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import BLOCK_S, replies_of, translated
from outlive.shared.store.keyspace import Keys

PAGE: Final = 512
"""Events per XRANGE: enough to amortise the round trip, few enough not to block Redis."""
LARGE_PAGE: Final = 2048
"""Events per XRANGE when a reader wants the whole log: in a process that is busy with a storm of viewers every round
trip waits for all of them. It blocks Redis for a millisecond."""


class Logged(NamedTuple):
    """One event of a log; `data` is its JSON, not decoded."""

    cursor: Cursor
    type: bytes
    data: bytes


class LogReader:
    """Reads all logs on one Redis over a shared client of short commands."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def meta(self, generation_id: str, tenant: str) -> Meta:
        """One generation's meta. Raises what `shown_to` raises."""
        return shown_to(tenant, (await self.metas([generation_id]))[0])

    async def metas(self, generation_ids: Sequence[str]) -> list[Meta | str | None]:
        """The meta of each, in one pipeline. None: unknown. A string: gone (deleted, or past its retention), and the
        string is the tenant it belonged to."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for generation_id in generation_ids:
                    pipe.hmget(self._keys.meta(generation_id), list(META_FIELDS))
                    pipe.exists(self._keys.log(generation_id))
                replies = await replies_of(pipe)
        return [read_meta(values, bool(exists)) for values, exists in zip(replies[::2], replies[1::2], strict=True)]

    async def metas_at(self, feeds: Sequence[tuple[str, Cursor]]) -> list[tuple[Meta | str | None, bool]]:
        """For each `(generation id, cursor)`: its meta, as from `metas`, and whether the cursor is in its log."""
        metas = await self.metas([generation_id for generation_id, _ in feeds])
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for generation_id, cursor in feeds:
                    pipe.xrange(self._keys.log(generation_id), str(cursor), str(cursor), count=1)
                entries = await replies_of(pipe)
        return list(zip(metas, map(bool, entries), strict=True))

    async def page(self, generation_id: str, after: Cursor, count: int = PAGE) -> list[Logged]:
        """Up to `count` events after the cursor, oldest first."""
        with translated():
            entries = await self._redis.xrange(self._keys.log(generation_id), f"({after}", "+", count=count)
        return [logged(entry_id, fields) for entry_id, fields in entries]

    async def pages(self, generation_id: str) -> AsyncIterator[list[Logged]]:
        """The whole log up to now, page by page."""
        page = await self.page(generation_id, START, LARGE_PAGE)
        yield page
        while len(page) == LARGE_PAGE:
            page = await self.page(generation_id, page[-1].cursor, LARGE_PAGE)
            yield page

    async def asked(self, generation_id: str) -> tuple[bytes, bytes]:
        """The request and the caller's metadata, both JSON. Raises `GenerationGone`, also for a large request of an
        answer that failed before its first piece, which is kept for a minute only."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(self._keys.request(generation_id))
                pipe.hget(self._keys.meta(generation_id), "metadata")
                request, metadata = await replies_of(pipe)
        if request is None or metadata is None:
            raise GenerationGone
        return await asyncio.to_thread(unpack, request) if is_slow(request) else unpack(request), metadata

    async def has(self, generation_id: str, cursor: Cursor) -> bool:
        """Whether this very event is in the log now."""
        with translated():
            return bool(await self._redis.xrange(self._keys.log(generation_id), str(cursor), str(cursor), count=1))

    def log_key(self, generation_id: str) -> str:
        """The key of the generation's stream."""
        return self._keys.log(generation_id)


def shown_to(tenant: str, meta: Meta | str | None) -> Meta:
    """What a tenant may see of an element of `metas`. Raises `GenerationNotFound`, also for another tenant's
    generation, because both must look the same, and `GenerationGone`."""
    if isinstance(meta, str):
        raise GenerationGone if meta == tenant else GenerationNotFound
    if meta is None or meta.tenant != tenant:
        raise GenerationNotFound
    return meta


async def read_tails(redis: Redis, cursors: Mapping[str, Cursor], *, count: int) -> dict[str, list[Logged]]:
    """New events after each log key's cursor, at most `count` of each; waits up to `BLOCK_S` for the first.

    `redis` must come from `connect_blocking`, which leaves XREAD replies as they are. An empty result means that the
    time is over: the caller reads meta, because no event says that a log was deleted.
    """
    streams: dict[Any, Any] = {key: str(cursor) for key, cursor in cursors.items()}
    with translated():
        reply = await redis.xread(streams, count=count, block=round(BLOCK_S * 1000))
    return {key.decode(): [_logged_raw(entry_id, words) for entry_id, words in entries] for key, entries in reply or ()}


def _logged_raw(entry_id: bytes, words: Sequence[bytes]) -> Logged:
    # Every script writes the two fields in this order: `type`, `data`.
    epoch, _, seq = entry_id.partition(b"-")
    return Logged(Cursor(int(epoch), int(seq)), words[1], words[3])


def logged(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Logged:
    """The event of one stream entry as redis-py gives it: the id `<epoch>-<seq>`, and `{b"type": ..., b"data": ...}`.
    Raises KeyError and ValueError for an entry that no script of ours wrote."""
    epoch, _, seq = entry_id.partition(b"-")
    return Logged(Cursor(int(epoch), int(seq)), fields[b"type"], fields[b"data"])


def read_meta(values: Sequence[bytes | None], exists: bool) -> Meta | str | None:
    """One element of `metas`, from HMGET of `META_FIELDS` and whether the log exists."""
    fields = {name: value for name, value in zip(META_FIELDS, values, strict=True) if value is not None}
    if "status" not in fields:
        return None
    if fields["status"] == DELETED.encode():
        return fields["tenant"].decode()
    meta = meta_of(fields)
    return meta if exists else meta.tenant
