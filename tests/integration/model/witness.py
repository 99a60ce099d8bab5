"""Owns the witness: the real event log, each true reply held against what it must be.

It sees the true replies and loses some on their way: the caller then gets `LogUnavailable`, as after
a broken connection. What is due is said in `known.py`.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from outlive.shared.errors import LogUnavailable, OutliveError
from outlive.shared.log.eventlog import Batch, EventLog, LogLimits, Renewal
from outlive.shared.log.replies import LOST, CreateReply, DeliveryReply, FinishReply, ReplyCode, SeqReply, TakeReply
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import TERMINAL, EventType
from outlive.shared.model.generation import NewGeneration
from outlive.shared.store.keyspace import Keys
from tests.integration.model.known import DELETED, OPEN, UNKNOWN, Known

# Nothing may expire by itself, or the machine's speed would decide.
LIMITS: Final = LogLimits(lease_s=600.0, max_attempts=3, max_deadline_s=3600.0, max_retention_s=86_400.0)

_LOSES: Final = 0.15


@dataclass(eq=False)
class Witness(EventLog):
    """One generation's log. An answer that is not the due one raises AssertionError."""

    redis: Redis
    keys: Keys
    rng: random.Random
    known: Known = field(default_factory=Known)
    endings: set[str] = field(default_factory=set)
    """Ids of all terminals ever written, also of those a failover took."""
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    loses: float = _LOSES
    """How often something is lost; at zero nothing comes in between either."""
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What others do between a worker's hearing BEHIND and its healing."""

    def __post_init__(self) -> None:
        super().__init__(self.redis, self.keys, LIMITS)
        self._stopped: set[int] = set()

    # -- what workers ask -----------------------------------------------------------------------

    async def take(self, generation_id: str, token: str) -> TakeReply:
        self._lose("take")
        taken, was = await super().take(generation_id, token), self.known
        self._note(f"take {token}", taken.code, taken.cursor)
        if was.over:
            _due(taken.code, was.over)
        elif was.owner == token:
            _due((taken.code, taken.epoch), (ReplyCode.OK, was.last.epoch))
        elif was.leased:
            _due(taken.code, ReplyCode.HELD)
        elif taken.code is ReplyCode.OK:
            assert taken.epoch > was.last.epoch, "an epoch that does not rise"
            _due(taken.counted, was.counted + (taken.reason != "worker_shutdown"))
            assert taken.counted <= LIMITS.max_attempts, "an attempt too many"
            self._know(last=taken.cursor, owner=token, counted=taken.counted, leased=True, released=False, grace=None)
        else:
            assert taken.code in (ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED), f"take answered {taken.code}"
        self._lose("take")
        return taken

    async def heal(self, generation_id: str, token: str, taken: TakeReply) -> ReplyCode:
        self._lose("heal")
        if self.meanwhile and self.rng.random() < self.loses:
            await self.meanwhile()
        for _ in range(self.rng.randint(1, 2)):
            answer, was = await super().heal(generation_id, token, taken), self.known
            self._note("heal", answer, taken.cursor)
            _due(answer, was.to_owner_of(taken.epoch))
            if answer is ReplyCode.OK and taken.epoch > was.last.epoch:
                self.counts["takes healed"] += 1
                counted = max(was.counted, taken.counted)
                self._know(last=taken.cursor, owner=token, counted=counted, leased=True, released=False, grace=None)
        self._lose("heal")
        self._tell(taken.epoch, answer)
        return answer

    async def append(self, batches: Sequence[Batch]) -> list[SeqReply | OutliveError]:
        self._lose("append")
        replies = [await self.land(batch) for batch in batches]
        for batch in batches:
            assert batch.epoch not in self._stopped, "R6: sent after it was told to stop"
        self._lose("append")
        for batch, reply in zip(batches, replies, strict=True):
            self._tell(batch.epoch, reply.code)
        return list(replies)

    async def land(self, batch: Batch) -> SeqReply:
        """A batch reaches the server, perhaps long after its worker has stopped waiting for it."""
        (reply,), was = await super().append([batch]), self.known
        assert isinstance(reply, SeqReply), reply
        last = batch.first_seq + len(batch.entries) - 1
        self._note(f"append {batch.epoch} {batch.first_seq}..{last}", reply.code, Cursor(batch.epoch, reply.seq))
        _due(_timeless(reply), was.to_append(batch))
        self.counts["gaps"] += reply.code is ReplyCode.GAP
        if reply.code is ReplyCode.OK:
            assert batch.epoch not in self._stopped, "heard after it was told to stop"
            self.counts["appends"] += 1
            self._know(last=Cursor(batch.epoch, last), leased=not was.released)
            if batch.terminal:
                self._end(batch.terminal.value)
        return reply

    async def renew(self, renewals: Sequence[Renewal]) -> list[SeqReply | OutliveError]:
        self._lose("renew")
        replies = [await self.land_renewal(renewal) for renewal in renewals]
        self._lose("renew")
        for renewal, reply in zip(renewals, replies, strict=True):
            self._tell(renewal.epoch, reply.code)
        return list(replies)

    async def land_renewal(self, renewal: Renewal) -> SeqReply:
        """A renewal reaches the server, perhaps late."""
        (reply,), was = await super().renew([renewal]), self.known
        assert isinstance(reply, SeqReply), reply
        self._note("renew", reply.code, Cursor(renewal.epoch, reply.seq))
        _due(_timeless(reply), was.to_renew(renewal.epoch))
        if reply.code is ReplyCode.OK and not was.released:
            self._know(leased=True, grace=None, deadline_h=0 if renewal.remaining_s > 0 else -1)
        return reply

    async def release(self, generation_id: str, epoch: int, reason: str) -> DeliveryReply:
        self._lose("release")
        reply, was = await super().release(generation_id, epoch, reason), self.known
        self._note(f"release {epoch}", reply.code)
        _due(reply.code, was.to_owner_of(epoch))
        if reply.code is ReplyCode.OK:
            self._know(leased=False, strayed=False, released=True, owner="")
        self._lose("release")
        return reply

    # -- what everybody else asks ----------------------------------------------------------------

    async def create(self, new: NewGeneration) -> CreateReply:
        reply, was = await super().create(new), self.known
        self._note("create", reply.code)
        _due(reply.code, {UNKNOWN: ReplyCode.NEW, DELETED: ReplyCode.GONE}.get(was.status, ReplyCode.EXISTING))
        if reply.code is ReplyCode.NEW:
            self.known = Known(OPEN, await self._last(new.id))
        return reply

    async def requeue(self, generation_id: str) -> DeliveryReply:
        reply, was = await super().requeue(generation_id), self.known
        self._note("requeue", reply.code)
        given = True if was.over is None and was.deadline_h < 0 and was.grace is None else was.grace
        self._know(deadline_h=min(was.deadline_h, 0), grace=given)
        if was.over is None and was.deadline_h >= 0:
            self._know(leased=was.leased or was.strayed)
        if due := was.to_requeue():
            _due(reply.code, due)
        else:
            assert reply.code in (ReplyCode.OK, ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED), (
                f"requeue answered {reply.code}"
            )
        return reply

    async def delete(self, generation_id: str, tenant: str) -> ReplyCode:
        answer, was = await super().delete(generation_id, tenant), self.known
        self._note("delete", answer)
        _due(answer, ReplyCode.GONE if was.over is ReplyCode.GONE else ReplyCode.OK)
        if answer is ReplyCode.OK:
            self._know(status=DELETED)
        return answer

    async def _finish(self, generation_id: str, status: EventType, words: dict[str, Any]) -> FinishReply:
        reply, was = await super()._finish(generation_id, status, words), self.known
        self._note("finish", reply.code)
        if was.over is ReplyCode.GONE:
            _due(reply.code, ReplyCode.GONE)
        elif was.over is ReplyCode.CLOSED:
            _due(reply, FinishReply(ReplyCode.ALREADY, was.status))
        else:
            _due(reply, FinishReply(ReplyCode.OK, status.value))
            self._know(last=await self._last(generation_id))
            assert self.known.last.epoch > was.last.epoch, "an epoch that does not rise"
            self._end(status.value)
        return reply

    # -- what is known ---------------------------------------------------------------------------

    @property
    def lost_endings(self) -> set[str]:
        """Terminals somebody may have seen that are not how it ended."""
        return self.endings - {str(self.known.last)}

    def promoted(self, known: Known, hours_ahead: int) -> None:
        """Another server answers from here on: it knows less, and its clock is another one."""
        self.trace.append(f"failover: {self.known.last} -> {known.last}, clock {hours_ahead:+} h")
        self.counts["failovers"] += 1
        self.counts["takes lost"] += START.epoch < known.last.epoch < self.known.last.epoch
        self.counts["endings lost"] += self.known.over is ReplyCode.CLOSED and known.over is not ReplyCode.CLOSED
        self.known = known
        if hours_ahead and known.over is None:
            grace = None if known.grace is None else False
            strayed = known.leased or known.strayed
            self._know(leased=False, strayed=strayed, grace=grace, deadline_h=known.deadline_h - hours_ahead)

    def expired(self) -> None:
        """A whole lease has passed in silence."""
        self._know(leased=False, strayed=False, grace=None if self.known.grace is None else False)

    def _end(self, status: str) -> None:
        assert status in TERMINAL, f"no terminal: {status}"
        self._know(status=status, leased=False, strayed=False, owner="")
        self.endings.add(str(self.known.last))

    def _know(self, **changed: Any) -> None:
        if changed.get("leased"):
            changed["strayed"] = False
        self.known = Known(**{**self.known.__dict__, **changed})

    def _tell(self, epoch: int, answer: ReplyCode) -> None:
        # Closed by its own terminal an attempt has lost nothing, and brings that back if need be (R26).
        by_itself = answer is ReplyCode.CLOSED and self.known.last.epoch == epoch
        if answer in LOST and not by_itself:
            self._stopped.add(epoch)

    def _lose(self, what: str) -> None:
        if self.rng.random() < self.loses / 2:
            self.trace.append(f"{what}: lost")
            raise LogUnavailable

    async def _last(self, generation_id: str) -> Cursor:
        ((entry_id, _),) = await self.redis.xrevrange(self.keys.log(generation_id), count=1)
        return Cursor.parse(entry_id.decode())

    def _note(self, what: str, answer: ReplyCode, at: Cursor | None = None) -> None:
        self.trace.append(f"{what} -> {answer} {at or ''}")


def _timeless(reply: SeqReply) -> SeqReply:
    """The same, with a cancel of just now: the model has no clock."""
    return reply if reply.since_cancel_s is None else reply._replace(since_cancel_s=0.0)


def _due(given: object, due: object) -> None:
    assert given == due, f"answered {given} where {due} was due"
