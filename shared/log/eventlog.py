"""Owns the verbs on a generation's log: create, take, append, renew, release, finish, delete.

Each verb is one atomic Lua script in `lua/` (PROTOCOL.md, Verbs); this file gives it a Python signature. Safety rests
on the epoch alone, never on leases or on clocks that agree (R4). `reader.py` reads. A caller may repeat every verb
after a lost reply. Every verb raises `LogUnavailable`.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.replies import (
    CreateReply,
    DeliveryReply,
    FinishReply,
    ReplyCode,
    SeqReply,
    TakeReply,
    code_of,
)
from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import EventType
from outlive.shared.model.generation import NewGeneration
from outlive.shared.settings import Settings
from outlive.shared.store import scripts
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import translated
from outlive.shared.store.keyspace import PARTITIONS, Keys, partition_of
from outlive.shared.store.plane import groups_of

_CREATE: Final = scripts.load("create")
_TAKE: Final = scripts.load("take")
_APPEND: Final = scripts.load("append")
_APPEND_TERMINAL: Final = scripts.load("append", allow_oom=True)
_RENEW: Final = scripts.load("renew", allow_oom=True)
_RELEASE: Final = scripts.load("release", allow_oom=True)
_REQUEUE: Final = scripts.load("requeue", allow_oom=True)
_MAY_SWEEP: Final = scripts.load("may_sweep", on_log=False, allow_oom=True)
_OVERDUE: Final = scripts.load("overdue", on_log=False, allow_oom=True)
_FINISH: Final = scripts.load("finish", allow_oom=True)
_DELETE: Final = scripts.load("delete", allow_oom=True)

MAX_CALL_EVENTS: Final = 256
"""Events in one append. One call must not hold Redis for longer than about a millisecond."""
_MAX_CALL_GENERATIONS: Final = 64
"""Generations in one append or renewal, for the same reason."""

# If a failover lost two takes and the promoted server's clock is behind, this keeps their epochs apart.
_EPOCH_NOISE: Final = 65_536
_MAX_OVERDUE: Final = 32
"""Ids per deadline key in one sweep."""
_TOMBSTONE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Limits that all processes on one log must agree on."""

    lease_s: float
    max_attempts: int
    max_deadline_s: float
    max_retention_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.lease_s, settings.max_attempts, settings.max_deadline_s, settings.max_retention_s)


class Entry(NamedTuple):
    """One event to append, with the attempt's totals as of this event."""

    type: str
    data: bytes
    chars: int
    tokens: int


class Batch(NamedTuple):
    """Consecutive entries of one attempt; `terminal` is set when the last one closes the log."""

    generation_id: str
    epoch: int
    first_seq: int
    entries: Sequence[Entry]
    terminal: EventType | None


class Renewal(NamedTuple):
    """One attempt that goes on; `remaining_s` until its deadline, by its worker's monotonic clock."""

    generation_id: str
    epoch: int
    remaining_s: float


class EventLog:
    """All logs on one Redis."""

    def __init__(self, redis: Client, keys: Keys, limits: LogLimits) -> None:
        self._redis = redis
        self._keys = keys
        self._groups = groups_of(redis)
        self._group_of_partition = [self._groups.of(keys.written(partition)) for partition in range(PARTITIONS)]
        self._key_of_group = dict(zip(self._group_of_partition, map(keys.written, range(PARTITIONS)), strict=True))
        self._lease_ms = _ms(limits.lease_s)
        self.max_attempts = limits.max_attempts
        self._horizon_ms = _ms(limits.max_deadline_s + limits.max_retention_s + _TOMBSTONE_S)

    @property
    def groups(self) -> Sequence[str]:
        """All groups of the log plane. Each may be away alone."""
        return list(self._key_of_group)

    def group_of(self, generation_id: str) -> str:
        """The group that has this generation's log."""
        return self._group_of_partition[partition_of(generation_id)]

    async def check(self, group: str) -> None:
        """Ask this group's server for a reply. Raises `LogUnavailable`."""
        with translated():
            await self._redis.exists(self._key_of_group[group])

    def silent_s(self, group: str) -> float | None:
        """How many seconds ago this group's server last failed to reply, as far as the client tells."""
        return self._groups.silent_s(self._key_of_group[group])

    async def create(self, new: NewGeneration) -> CreateReply:
        """NEW; EXISTING when this id has the same body, CONFLICT when it has another; GONE when it is deleted or past
        its retention."""
        queued = encode_json({"id": new.id, "model": new.model})[:-1]
        args: list[scripts.Word] = [
            new.id, new.body_hash, queued, new.request, _noise(), self._lease_ms, _ms(new.deadline_s),
            _ms(new.retention_s), new.on_interrupt, new.prompt_tokens, new.tenant,
            new.model.encode("utf-8", "surrogatepass"), new.metadata, self._horizon_ms,
            new.trace,
        ]  # fmt: skip
        keys = [*self._keys.of_script(new.id), self._keys.index(partition_of(new.id), new.tenant)]
        return CreateReply.parse(await scripts.run(self._redis, scripts.Call(_CREATE, keys, args)))

    async def take(self, generation_id: str, token: str) -> TakeReply:
        """Begin an attempt. `token` names this execution, so a repeated take begins no second attempt."""
        return TakeReply.parse(
            await self._run(_TAKE, generation_id, token, _noise(), self._lease_ms, self.max_attempts, 0, "", "", 0)
        )

    async def heal(self, generation_id: str, token: str, taken: TakeReply) -> ReplyCode:
        """After BEHIND: write the beginning of this attempt again, as it was. `taken` is the reply to its take."""
        reply = await self._run(
            _TAKE, generation_id, token, 0, self._lease_ms, self.max_attempts,
            taken.epoch, taken.attempt, taken.reason, taken.counted,
        )  # fmt: skip
        return code_of(reply)

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | OutliveError]:
        """Append each batch behind the fence, all in one pipeline; one reply each, in order.

        An error in place of a reply (`LogFull`, say) means that Redis refused this batch and wrote nothing of it.
        Raises `LogUnavailable` when the pipeline broke: then any part of it may be in the log.
        """
        calls = list(_calls_of(batches, self.group_of))
        return await self._run_each(calls, [self._append_call([batches[i] for i in call]) for call in calls])

    async def renew(self, renewals: Sequence[Renewal]) -> list[SeqReply | OutliveError]:
        """Renew these leases, up to 64 of a group in one call and all calls in one pipeline; one reply each, in order.
        An error in place of a reply means that Redis refused the call of this renewal, and renewed none of it."""
        calls = list(_renewal_calls_of(renewals, self.group_of))
        return await self._run_each(calls, [self._renewal_call([renewals[i] for i in call]) for call in calls])

    async def release(self, generation_id: str, epoch: int, reason: str) -> DeliveryReply:
        """Hand over: the next take begins a new attempt for `reason`."""
        return DeliveryReply.parse(await self._run(_RELEASE, generation_id, epoch, reason))

    async def overdue(self, period_s: float) -> list[str]:
        """Ids of open generations that should have moved by now, a bounded number at a time. Only the first process
        that asks within a period gets any."""
        # Groups on other servers do not wait for the one that has this key: then every process sweeps.
        with suppress(LogUnavailable):
            if not await scripts.run(self._redis, scripts.Call(_MAY_SWEEP, [self._keys.swept], [_ms(period_s)])):
                return []
        deadlines: dict[str, list[str]] = {}
        for key in map(self._keys.deadlines, range(PARTITIONS)):
            deadlines.setdefault(self._groups.of(key), []).append(key)
        args = (_MAX_OVERDUE, self._lease_ms)
        replies = await scripts.run_many(
            self._redis, [scripts.Call(_OVERDUE, keys, args) for keys in deadlines.values()]
        )
        served = [reply for reply in replies if not isinstance(reply, OutliveError)]
        if not served:
            raise replies[0]
        return [generation_id.decode() for reply in served for generation_id in reply]

    async def requeue(self, generation_id: str) -> DeliveryReply:
        """Ask what to do about one overdue generation. Exactly one sweeper gets OK."""
        return DeliveryReply.parse(await self._run(_REQUEUE, generation_id, self._lease_ms, self.max_attempts))

    async def fail(self, generation_id: str, code: str, message: str, *, retryable: bool) -> FinishReply:
        """Close as failed, on behalf of an owner that is gone."""
        return await self._finish(
            generation_id, EventType.FAILED, {"code": code, "message": message, "retryable": retryable}
        )

    async def cancel(self, generation_id: str, reason: str = "requested") -> FinishReply:
        """Close as cancelled; ALREADY with the status when something else closed it first."""
        return await self._finish(generation_id, EventType.CANCELLED, {"reason": reason})

    async def delete(self, generation_id: str, tenant: str) -> ReplyCode:
        """Remove the log and leave a tombstone for a day. OK, or GONE when there was nothing left to remove."""
        keys = [*self._keys.of_script(generation_id), self._keys.index(partition_of(generation_id), tenant)]
        reply = await scripts.run(self._redis, scripts.Call(_DELETE, keys, [generation_id]))
        return code_of(reply)

    async def _finish(self, generation_id: str, status: EventType, data: dict[str, Any]) -> FinishReply:
        head = encode_json(data)[:-1] + b","
        return FinishReply.parse(await self._run(_FINISH, generation_id, _noise(), status.value, head))

    async def _run_each(
        self, indexes: Sequence[Sequence[int]], calls: Sequence[scripts.Call]
    ) -> list[SeqReply | OutliveError]:
        """One reply for each index that the calls are about, in the order of the indexes."""
        replies: dict[int, SeqReply | OutliveError] = {}
        for call, result in zip(indexes, await scripts.run_many(self._redis, calls), strict=True):
            each = [result] * len(call) if isinstance(result, OutliveError) else map(SeqReply.parse, result)
            replies.update(zip(call, each, strict=True))
        return [replies[i] for i in range(len(replies))]

    def _renewal_call(self, renewals: Sequence[Renewal]) -> scripts.Call:
        keys: list[str] = []
        args: list[scripts.Word] = [self._lease_ms]
        for generation_id, epoch, remaining_s in renewals:
            keys += (self._keys.meta(generation_id), self._keys.deadlines(partition_of(generation_id)))
            args += (generation_id, epoch, _ms(remaining_s))
        return scripts.Call(_RENEW, keys, args)

    def _append_call(self, batches: Sequence[Batch]) -> scripts.Call:
        terminal = batches[0].terminal
        args: list[scripts.Word] = [self._lease_ms, terminal or ""]
        for batch in batches:
            last = batch.entries[-1]
            args += (batch.epoch, batch.first_seq, last.chars, last.tokens, len(batch.entries))
            for entry in batch.entries:
                args += (entry.type, entry.data)
        if terminal:
            args.append(batches[0].generation_id)
            script = _APPEND_TERMINAL if len(batches[0].entries) == 1 else _APPEND
            return scripts.Call(script, self._keys.of_script(batches[0].generation_id), args)
        keys = self._keys
        pairs = [key(batch.generation_id) for batch in batches for key in (keys.meta, keys.log)]
        return scripts.Call(_APPEND, pairs, args)

    async def _run(self, script: scripts.Script, generation_id: str, *args: scripts.Word) -> Any:
        return await scripts.run(
            self._redis, scripts.Call(script, self._keys.of_script(generation_id), (generation_id, *args))
        )


def _calls_of(batches: Sequence[Batch], group_of: Callable[[str], str]) -> Iterator[list[int]]:
    """Which batches, by index, share one script call: as many of a group as fit, except a terminal, which is alone in
    its call. The batches of one generation stay in order."""
    calls: dict[str, list[int]] = {}
    events: Counter[str] = Counter()
    for i, batch in enumerate(batches):
        group = group_of(batch.generation_id)
        call = calls.get(group, [])
        is_full = len(call) == _MAX_CALL_GENERATIONS or events[group] + len(batch.entries) > MAX_CALL_EVENTS
        if call and (batch.terminal or is_full):
            yield calls.pop(group)
            events[group] = 0
        if batch.terminal:
            yield [i]
        else:
            calls.setdefault(group, []).append(i)
            events[group] += len(batch.entries)
    yield from calls.values()


def _renewal_calls_of(renewals: Sequence[Renewal], group_of: Callable[[str], str]) -> Iterator[list[int]]:
    """Which renewals, by index, share one script call: as many of a group as fit."""
    calls: dict[str, list[int]] = {}
    for i, renewal in enumerate(renewals):
        call = calls.setdefault(group_of(renewal.generation_id), [])
        call.append(i)
        if len(call) == _MAX_CALL_GENERATIONS:
            yield calls.pop(group_of(renewal.generation_id))
    yield from calls.values()


def _noise() -> int:
    return random.randrange(_EPOCH_NOISE)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
