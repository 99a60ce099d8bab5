"""Owns the verbs on a generation's log: who may begin, write, renew, hand over, end, delete.

Each verb is one atomic Lua script in `lua/` (PROTOCOL.md, Verbs); this file gives them Python
shapes. Safety rests on the epoch alone, never on leases or on clocks agreeing (R4). Reading is
`reader.py`'s. Every verb may be repeated after a lost reply, and raises `LogUnavailable`.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.replies import CreateReply, DeliveryReply, FinishReply, ReplyCode, SeqReply, TakeReply
from outlive.shared.log.reply_shapes import answer_of, delivery_reply, seq_reply, take_reply
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
_TURN: Final = scripts.load("turn", on_log=False, allow_oom=True)
_OVERDUE: Final = scripts.load("overdue", on_log=False, allow_oom=True)
_FINISH: Final = scripts.load("finish", allow_oom=True)
_DELETE: Final = scripts.load("delete", allow_oom=True)
_SINCE_CANCEL: Final = scripts.load("since_cancel", allow_oom=True)

# Keeps two takes apart that a failover lost both, when the promoted server's clock is behind.
_EPOCH_NOISE: Final = 65_536
_OVERDUE_AT_ONCE: Final = 32
# One call must not hold Redis for longer than about a millisecond.
_CALL_GENERATIONS: Final = 64
_CALL_EVENTS: Final = 256
_TOMBSTONE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class LogLimits:
    """What all processes on one log must agree on."""

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
    """One attempt that goes on, and how long it may, by its worker's monotonic clock."""

    generation_id: str
    epoch: int
    remaining_s: float


class EventLog:
    """All logs on one Redis."""

    def __init__(self, redis: Client, keys: Keys, limits: LogLimits) -> None:
        self._redis = redis
        self._keys = keys
        self._groups = groups_of(redis)
        self._key_of_group = {self._groups.of(key): key for key in map(keys.written, range(PARTITIONS))}
        self._lease_ms = _ms(limits.lease_s)
        self.max_attempts = limits.max_attempts
        self._horizon_ms = _ms(limits.max_deadline_s + limits.max_retention_s + _TOMBSTONE_S)

    @property
    def groups(self) -> Sequence[str]:
        """All groups of the log plane. Each may be away alone."""
        return list(self._key_of_group)

    def group_of(self, generation_id: str) -> str:
        """The group that has this generation's log."""
        return self._groups.of(self._keys.meta(generation_id))

    async def check(self, group: str) -> None:
        """Ask this group's server for a reply. Raises `LogUnavailable`."""
        with translated():
            await self._redis.exists(self._key_of_group[group])

    def silent_s(self, group: str) -> float | None:
        """How many seconds ago this group's server last failed to reply, as far as the client tells."""
        return self._groups.silent_s(self._key_of_group[group])

    async def create(self, new: NewGeneration) -> CreateReply:
        """NEW; EXISTING when this id has the same body; CONFLICT when another; GONE after its end."""
        queued = encode_json({"id": new.id, "model": new.model})[:-1]
        args: list[scripts.Word] = [
            new.id, new.body_hash, queued, new.request, _noise(), self._lease_ms, _ms(new.deadline_s),
            _ms(new.retention_s), new.on_interrupt, new.prompt_tokens, new.tenant,
            new.model.encode("utf-8", "surrogatepass"), new.metadata, self._horizon_ms,
            new.trace,
        ]  # fmt: skip
        keys = [*self._keys.of_script(new.id), self._keys.index(partition_of(new.id), new.tenant)]
        answer, *rest = await scripts.run(self._redis, scripts.Call(_CREATE, keys, args))
        if not rest:
            return CreateReply(answer_of(answer))
        return CreateReply(answer_of(answer), rest[0].decode(), int(rest[1]) / 1000)

    async def take(self, generation_id: str, token: str) -> TakeReply:
        """Begin an attempt. `token` names this execution, so that repeating it begins no second one."""
        return take_reply(
            await self._run(_TAKE, generation_id, token, _noise(), self._lease_ms, self.max_attempts, 0, "", "", 0)
        )

    async def heal(self, generation_id: str, token: str, taken: TakeReply) -> ReplyCode:
        """After BEHIND: write again the beginning of the attempt `taken` describes, as it was."""
        reply = await self._run(
            _TAKE, generation_id, token, 0, self._lease_ms, self.max_attempts,
            taken.epoch, taken.attempt, taken.reason, taken.counted,
        )  # fmt: skip
        return answer_of(reply[0])

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | OutliveError]:
        """Append each batch behind the fence, all in one pipeline; one reply each, in order.

        A reply that is an error (`LogFull`, say) stands for every batch of one call; none of them
        was written. Raises `LogUnavailable` when the pipeline broke: then any part may be in the log.
        """
        calls = list(_calls_of(batches, self.group_of))
        results = await scripts.run_many(self._redis, [self._append_call([batches[i] for i in call]) for call in calls])
        replies: dict[int, SeqReply | OutliveError] = {}
        for call, result in zip(calls, results, strict=True):
            each = [result] * len(call) if isinstance(result, OutliveError) else map(seq_reply, result)
            replies.update(zip(call, each, strict=True))
        return [replies[i] for i in range(len(batches))]

    async def renew(self, renewals: Sequence[Renewal]) -> list[SeqReply | OutliveError]:
        """Renew these leases in one pipeline; one reply each, in order."""
        calls = [
            scripts.Call(_RENEW, self._keys.of_script(i), (i, epoch, self._lease_ms, _ms(remaining_s)))
            for i, epoch, remaining_s in renewals
        ]
        replies = await scripts.run_many(self._redis, calls)
        return [reply if isinstance(reply, OutliveError) else seq_reply(reply) for reply in replies]

    async def release(self, generation_id: str, epoch: int, reason: str) -> DeliveryReply:
        """Hand over: whoever takes next begins a new attempt for `reason`."""
        return delivery_reply(await self._run(_RELEASE, generation_id, epoch, reason))

    async def overdue(self, period_s: float) -> list[str]:
        """Ids of open generations that should have moved by now, a bounded number at a time. If several
        processes ask within one period, only the first is told."""
        # Groups on other servers do not wait for the one that has this key: then every process looks.
        with suppress(LogUnavailable):
            if not await scripts.run(self._redis, scripts.Call(_TURN, [self._keys.swept], [_ms(period_s)])):
                return []
        deadlines: dict[str, list[str]] = {}
        for key in map(self._keys.deadlines, range(PARTITIONS)):
            deadlines.setdefault(self._groups.of(key), []).append(key)
        args = (_OVERDUE_AT_ONCE, self._lease_ms)
        replies = await scripts.run_many(
            self._redis, [scripts.Call(_OVERDUE, keys, args) for keys in deadlines.values()]
        )
        served = [reply for reply in replies if not isinstance(reply, OutliveError)]
        if not served:
            raise replies[0]
        return [generation_id.decode() for reply in served for generation_id in reply]

    async def requeue(self, generation_id: str) -> DeliveryReply:
        """The sweep's question about one overdue generation; OK to exactly one asker."""
        return delivery_reply(await self._run(_REQUEUE, generation_id, self._lease_ms, self.max_attempts))

    async def fail(self, generation_id: str, code: str, message: str, *, retryable: bool) -> FinishReply:
        """Close as failed, on behalf of an owner that is not there to do it."""
        return await self._finish(
            generation_id, EventType.FAILED, {"code": code, "message": message, "retryable": retryable}
        )

    async def cancel(self, generation_id: str, reason: str = "requested") -> FinishReply:
        """Close as cancelled; ALREADY with the status when something else closed it first."""
        return await self._finish(generation_id, EventType.CANCELLED, {"reason": reason})

    async def since_cancel_s(self, generation_id: str) -> float | None:
        """How long ago it was cancelled, by Redis's clock; None if it ended otherwise or not at all."""
        ms = await self._run(_SINCE_CANCEL, generation_id)
        return None if ms is None else int(ms) / 1000

    async def delete(self, generation_id: str, tenant: str) -> ReplyCode:
        """Remove the log and leave a tombstone for a day."""
        keys = [*self._keys.of_script(generation_id), self._keys.index(partition_of(generation_id), tenant)]
        reply = await scripts.run(self._redis, scripts.Call(_DELETE, keys, [generation_id]))
        return answer_of(reply[0])

    async def _finish(self, generation_id: str, status: EventType, words: dict[str, Any]) -> FinishReply:
        head = encode_json(words)[:-1] + b","
        answer, *rest = await self._run(_FINISH, generation_id, _noise(), status.value, head)
        return FinishReply(answer_of(answer), rest[0].decode() if rest else "")

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
        places = [key(batch.generation_id) for batch in batches for key in (keys.meta, keys.log)]
        return scripts.Call(_APPEND, places, args)

    async def _run(self, script: scripts.Script, generation_id: str, *args: scripts.Word) -> Any:
        return await scripts.run(
            self._redis, scripts.Call(script, self._keys.of_script(generation_id), (generation_id, *args))
        )


def _calls_of(batches: Sequence[Batch], group_of: Callable[[str], str]) -> Iterator[list[int]]:
    """Which batches, by index, go together in one script call: all of a group that fit, but a terminal
    alone. The batches of one generation stay in order."""
    calls: dict[str, list[int]] = {}
    events: Counter[str] = Counter()
    for i, batch in enumerate(batches):
        group = group_of(batch.generation_id)
        call = calls.get(group, [])
        full = len(call) == _CALL_GENERATIONS or events[group] + len(batch.entries) > _CALL_EVENTS
        if call and (batch.terminal or full):
            yield calls.pop(group)
            events[group] = 0
        if batch.terminal:
            yield [i]
        else:
            calls.setdefault(group, []).append(i)
            events[group] += len(batch.entries)
    yield from calls.values()


def _noise() -> int:
    return random.randrange(_EPOCH_NOISE)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
