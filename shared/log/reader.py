"""Owns reading logs: meta, pages of events, and which logs have other newest events than a reader knows.

Knows nothing of viewers. XRANGE after an id that is not in the log skips silently what the log has lost, so every
reader that goes on from a cursor reads from the cursor itself and looks whether it is there (R8). Raises
`LogUnavailable`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from outlive.shared.errors import GenerationGone, GenerationNotFound, OutliveError
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.generation import DELETED, META_FIELDS, Meta, meta_of
from outlive.shared.model.stored_request import is_slow, unpack
from outlive.shared.store import scripts
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import replies_of, translate, translated
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import groups_of

PAGE: Final = 512
"""Events per XRANGE: enough to amortise the round trip, few enough not to block Redis."""
LARGE_PAGE: Final = 2048
"""Events per XRANGE when a reader wants the whole log: in a process that is busy with a storm of viewers every round
trip waits for all of them. It blocks Redis for a millisecond."""
_TAILS: Final = scripts.load("tails", on_log=False, no_writes=True)


class Question(NamedTuple):
    """What a reader wants of one log: up to `max_events` events after the cursor."""

    generation_id: str
    after: Cursor
    max_events: int


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
        self._groups = groups_of(redis)

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

    async def pages_from(self, questions: Sequence[Question]) -> list[list[Logged] | OutliveError | None]:
        """What follows in each log, in one pipeline. None where the cursor is not in the log, or there is no log; an
        error where a server refused or did not reply. Raises `LogUnavailable` when the whole pipeline failed."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for generation_id, after, count in questions:
                    # The cursor itself first, which shows that the log still has it.
                    pipe.xrange(self._keys.log(generation_id), str(after), "+", count=count + (after != START))
                replies = await pipe.execute(raise_on_error=False)
        return [_page_after(question.after, reply) for question, reply in zip(questions, replies, strict=True)]

    async def differing(self, feeds: Sequence[tuple[str, Cursor]]) -> set[str]:
        """Of these `(generation id, newest event)` those whose log has another newest event, or is gone. All logs must
        be of one group."""
        call = scripts.Call(_TAILS, [self._keys.log(i) for i, _ in feeds], [str(cursor) for _, cursor in feeds])
        return {feeds[number - 1][0] for number in await scripts.run(self._redis, call)}

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

    def group_of(self, generation_id: str) -> str:
        """The group that has this generation's log: its servers are away together."""
        return self._groups.of(self._keys.log(generation_id))


def shown_to(tenant: str, meta: Meta | str | None) -> Meta:
    """What a tenant may see of an element of `metas`. Raises `GenerationNotFound`, also for another tenant's
    generation, because both must look the same, and `GenerationGone`."""
    if isinstance(meta, str):
        raise GenerationGone if meta == tenant else GenerationNotFound
    if meta is None or meta.tenant != tenant:
        raise GenerationNotFound
    return meta


def _page_after(after: Cursor, reply: Any) -> list[Logged] | OutliveError | None:
    if isinstance(reply, Exception):
        ours = translate(reply)
        if ours is None:
            raise reply
        return ours
    events = [logged(entry_id, fields) for entry_id, fields in reply]
    if after != START:
        return events[1:] if events and events[0].cursor == after else None
    return events or None


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
