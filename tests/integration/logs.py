"""Owns generations made for tests of the log itself: requests, batches, and a look at every entry."""

from typing import Any

from redis.asyncio import Redis

from outlive.shared.errors import OutliveError
from outlive.shared.log.eventlog import Batch, Entry, EventLog, LogLimits, Renewal
from outlive.shared.log.reader import Logged, logged
from outlive.shared.log.replies import SeqReply, TakeReply
from outlive.shared.model.codec import decode_json, encode, encode_json
from outlive.shared.model.events import Completed, Event, EventType, Failed, Token, Usage
from outlive.shared.model.generation import NewGeneration, OnInterrupt
from outlive.shared.store.keyspace import Keys
from tests.support.ids import fresh_id

LIMITS = LogLimits(lease_s=10.0, max_attempts=3, max_deadline_s=3600.0, max_retention_s=86_400.0)
TENANT = "acme"
MODEL = "demo"


def new_generation(
    generation_id: str | None = None,
    *,
    body_hash: str = "hash",
    on_interrupt: OnInterrupt = "restart",
    deadline_s: float = 60.0,
    retention_s: float = 60.0,
    tenant: str = TENANT,
) -> NewGeneration:
    """A request nobody will send."""
    return NewGeneration(
        id=generation_id or fresh_id(),
        tenant=tenant,
        model=MODEL,
        request=encode_json({"model": MODEL, "messages": []}),
        metadata=b'{"a":1}',
        body_hash=body_hash,
        prompt_tokens=5,
        on_interrupt=on_interrupt,
        deadline_s=deadline_s,
        retention_s=retention_s,
    )


async def created(eventlog: EventLog, **options: Any) -> str:
    """The id of a generation just created."""
    new = new_generation(**options)
    await eventlog.create(new)
    return new.id


async def running(eventlog: EventLog, **options: Any) -> tuple[str, TakeReply]:
    """A generation just taken by the worker `one`."""
    generation_id = await created(eventlog, **options)
    return generation_id, await eventlog.take(generation_id, "one")


def tokens(generation_id: str, epoch: int, first_seq: int, *texts: str, chars: int | None = None) -> Batch:
    """A batch of `token` events; unless told, each text before them was one character."""
    total = first_seq - 1 if chars is None else chars
    entries = []
    for text in texts:
        total += len(text)
        entries.append(_entry(Token(text), total))
    return Batch(generation_id, epoch, first_seq, entries, None)


def completion(generation_id: str, epoch: int, seq: int, *, chars: int | None = None) -> Batch:
    """The terminal alone."""
    said = seq - 1 if chars is None else chars
    last = Completed("stop", Usage(5, said, 5 + said), said, seq + 1)
    return Batch(generation_id, epoch, seq, [_entry(last, said)], EventType.COMPLETED)


def failure(generation_id: str, epoch: int, seq: int) -> Batch:
    """The terminal of an answer that failed, alone."""
    chars = seq - 1
    last = Failed("upstream_refused", "x", False, Usage(5, chars, 5 + chars), chars, seq + 1)
    return Batch(generation_id, epoch, seq, [_entry(last, chars)], EventType.FAILED)


async def append(eventlog: EventLog, *batches: Batch) -> SeqReply:
    """The reply to the last batch, all sent together; an error is raised."""
    reply = (await eventlog.append(batches))[-1]
    if isinstance(reply, OutliveError):
        raise reply
    return reply


async def renew(eventlog: EventLog, generation_id: str, epoch: int, *, remaining_s: float = 60.0) -> SeqReply:
    """The reply to one renewal; an error is raised."""
    (reply,) = await eventlog.renew([Renewal(generation_id, epoch, remaining_s)])
    if isinstance(reply, OutliveError):
        raise reply
    return reply


async def whole_log(redis: Redis, keys: Keys, generation_id: str) -> list[Logged]:
    """Every entry."""
    return [logged(entry_id, fields) for entry_id, fields in await redis.xrange(keys.log(generation_id))]


async def said(redis: Redis, keys: Keys, generation_id: str) -> list[tuple[str, Any]]:
    """Every entry's type and data."""
    return [(entry.type.decode(), decode_json(entry.data)) for entry in await whole_log(redis, keys, generation_id)]


async def expire_lease(redis: Redis, keys: Keys, generation_id: str) -> None:
    """As if a whole lease had passed in silence."""
    key = keys.meta(generation_id)
    graced = await redis.hexists(key, "grace")  # type: ignore[misc]  # typed for its synchronous client too
    await _hset(redis, key, **({"lease": 0, "grace": 0} if graced else {"lease": 0}))


async def set_meta(redis: Redis, keys: Keys, generation_id: str, **fields: int) -> None:
    """What time, or a clock that jumped, would have made of meta."""
    await _hset(redis, keys.meta(generation_id), **fields)


async def meta_fields(redis: Redis, keys: Keys, generation_id: str) -> dict[str, str]:
    """All of meta, as it stands."""
    found: Any = await redis.execute_command("HGETALL", keys.meta(generation_id))  # type: ignore[no-untyped-call]
    return {name.decode(): value.decode() for name, value in found.items()}


async def server_ms(redis: Redis) -> int:
    """Redis TIME."""
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def _hset(redis: Redis, key: str, **fields: int) -> None:
    words = [word for pair in fields.items() for word in pair]
    await redis.execute_command("HSET", key, *words)  # type: ignore[no-untyped-call]


def _entry(event: Event, chars: int) -> Entry:
    return Entry(event.type, encode(event), chars, chars)
