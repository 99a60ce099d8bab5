"""Owns the model: workers that live, stall, repeat themselves and come back from the dead, over one log.

Every choice comes from one seed. The model sees each true reply, also those its workers are told
were lost, so it can hold every accepted write against what it knows: who took last, and whether
the log is closed. Scripts are atomic, so one after another is as good as at the same time.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from shared.answers import LOST, Answer, SeqReply, TakeReply
from shared.codec import encode
from shared.cursor import START
from shared.eventlog import Batch, Entry, EventLog
from shared.events import Completed, Event, EventType, Failed, Reasoning, Token, Usage
from shared.keys import Keys, partition_of
from shared.logreader import Logged, LogReader
from tests.integration.logs import TENANT, append, expire_lease, new_generation, renew
from tests.support.sse import Frame
from tests.support.transcript import Transcript

_TEXTS: Final = ("a", "bc", "日本", "\U0001f600", "\n", "\u2028", " d ")
_MOST_EVENTS: Final = 40
_STEPS_AFTERWARDS: Final = 15


@dataclass
class Attempt:
    """One taken attempt, as its worker holds it in memory."""

    worker: str
    taken: TakeReply
    entries: list[Entry] = field(default_factory=lambda: [Entry(EventType.ATTEMPT, b"", 0, 0)])
    acknowledged: int = 0
    terminal: EventType | None = None
    lost: Answer | None = None
    """The first answer that told its worker to stop; what it does afterwards, it does as a zombie."""

    def say(self, rng: random.Random) -> None:
        """One more event, or the last one."""
        chars, said = self.entries[-1].chars, len(self.entries)
        event: Event
        if said > _MOST_EVENTS or rng.random() < 0.015:
            usage = Usage(5, said, 5 + said)
            last = Completed("stop", usage, chars, said + 1)
            event = last if rng.random() < 0.8 else Failed("upstream_error", "no", True, usage, chars, said + 1)
            self.terminal = event.type
        elif rng.random() < 0.7:
            event = Token(rng.choice(_TEXTS))
            chars += len(event.text)
        else:
            event = Reasoning(rng.choice(_TEXTS))
        self.entries.append(Entry(event.type, encode(event), chars, said))

    def batch(self, generation_id: str, first: int, end: int) -> Batch:
        whole = self.terminal is not None and end == len(self.entries)
        return Batch(generation_id, self.taken.epoch, first, self.entries[first:end], self.terminal if whole else None)


class Run:
    """One seed's life of one generation."""

    def __init__(self, seed: int, redis: Redis, keys: Keys, eventlog: EventLog, reader: LogReader) -> None:
        self.rng = random.Random(seed)
        self.new = new_generation(
            f"gen_{seed:032x}", on_interrupt="restart" if self.rng.random() < 0.8 else "fail", deadline_s=3000.0
        )
        self.id = self.new.id
        self.trace: list[str] = []
        self.transcripts = [Transcript(self.id, f"reader {n}") for n in range(2)]
        self.attempts: list[Attempt] = []
        self.status: str | None = None
        """How it ended: a terminal's type, or `deleted`. None while the log is open."""
        self.accepted = 0
        self.from_zombies = 0
        self._redis, self._keys, self._log, self._reader = redis, keys, eventlog, reader
        self._current: dict[str, Attempt] = {}
        self._tokens = 0

    async def live(self, steps: int) -> None:
        """Create it, and let anything happen in any order."""
        await self._create()
        weights: dict[Callable[[], Awaitable[object]], float] = {
            self._append: 45, self._append_late: 20, self._take: 5, self._steal: 3, self._expire: 5, self._renew: 6,
            self._release: 3, self._requeue: 3, self._create: 2, self._finish: 0.4, self._delete: 0.1,
            self._read: 20, self._join: 1,
        }  # fmt: skip
        afterwards = _STEPS_AFTERWARDS
        for act in self.rng.choices(list(weights), list(weights.values()), k=steps):
            await act()
            afterwards -= self.status is not None
            if not afterwards:
                return

    async def end(self) -> None:
        """Whatever happened, a terminal can be had; then all have their last word."""
        if self.status is None:
            await self._expire()
            attempt = await self._take("last")
            while self.status is None and attempt is not None:
                await self._write(attempt, attempt.acknowledged + 1, self._more(attempt))
        assert self.status is not None, "still open"
        for attempt in self.attempts:
            await self._write(attempt, 1, self._more(attempt))
            await self._write(attempt, len(attempt.entries) - 1, self._more(attempt))
            await self._renew(attempt)
        self.transcripts.append(Transcript(self.id, "late joiner"))
        for transcript in self.transcripts:
            while await self._read(transcript):
                pass

    # -- what workers do ---------------------------------------------------------------------

    async def _take(self, worker: str | None = None) -> Attempt | None:
        worker = worker or self.rng.choice("ABC")
        self._tokens += 1
        token = f"{worker}{self._tokens}"
        taken = await self._log.take(self.id, token)
        self._note(f"{worker} take", taken.answer, taken.epoch)
        if self._is_lost():
            again = await self._log.take(self.id, token)
            assert (again.answer, again.epoch, again.attempt) == (taken.answer, taken.epoch, taken.attempt), (
                "two takes of one"
            )
        if self.status is not None:
            assert taken.answer is self._over(), f"taken when {self.status}"
        if taken.answer in (Answer.EXHAUSTED, Answer.INTERRUPTED):
            await self._finish()
        if taken.answer is not Answer.OK:
            return None
        assert all(taken.epoch > former.taken.epoch for former in self.attempts), "an epoch that does not rise"
        attempt = self._current[worker] = Attempt(worker, taken)
        self.attempts.append(attempt)
        return attempt

    async def _steal(self) -> None:
        """An owner is silent for a lease, and somebody else is quicker."""
        await self._expire()
        await self._take()

    async def _append(self) -> None:
        """What a worker in its right mind sends next, with a reply that may be lost."""
        if attempt := self._some():
            await self._write(attempt, attempt.acknowledged + 1, self._more(attempt))

    async def _append_late(self) -> None:
        """Anything it ever had or will have, from any attempt, in any order."""
        if self.attempts:
            attempt = self.rng.choice(self.attempts[-3:])
            most = self._more(attempt) - 1
            first = self.rng.randint(max(1, min(attempt.acknowledged - 2, most)), most)
            await self._write(attempt, first, self.rng.randint(first, most) + 1)

    async def _renew(self, attempt: Attempt | None = None) -> None:
        if attempt := attempt or self._some():
            reply = await renew(self._log, self.id, attempt.taken.epoch)
            self._note(f"{attempt.worker} renew", reply.answer, reply.seq)
            self._judge(attempt, reply)

    async def _release(self) -> None:
        if attempt := self._some():
            reason = self.rng.choice(("worker_shutdown", "upstream_interrupted"))
            reply = await self._log.release(self.id, attempt.taken.epoch, reason)
            self._note(f"{attempt.worker} release", reply.answer)
            if self._is_lost():
                assert (await self._log.release(self.id, attempt.taken.epoch, reason)).answer is reply.answer
            self._judge(attempt, SeqReply(reply.answer))

    async def _write(self, attempt: Attempt, first: int, end: int) -> None:
        first = min(first, end - 1)
        batch = attempt.batch(self.id, first, end)
        reply = await append(self._log, batch)
        self._note(f"{attempt.worker} append {attempt.taken.epoch} {first}..{end - 1}", reply.answer, reply.seq)
        self._judge(attempt, reply)
        if reply.answer is Answer.OK:
            self.accepted += 1
            assert reply.seq == end - 1, "OK, but not of all"
            if batch.terminal is not None:
                self.status = batch.terminal
        if not self._is_lost():
            attempt.acknowledged = reply.seq if reply.seq >= 0 else attempt.acknowledged

    # -- what everybody else does --------------------------------------------------------------

    async def _create(self) -> None:
        known = bool(self.trace)
        reply = await self._log.create(self.new)
        self._note("create", reply.answer)
        if self.status == "deleted":
            assert reply.answer is Answer.GONE, "created again"
        else:
            assert reply.answer is (Answer.EXISTING if known else Answer.NEW)

    async def _expire(self) -> None:
        if self.status is None:
            await expire_lease(self._redis, self._keys, self.id)

    async def _requeue(self) -> None:
        if self.status is None:
            await self._redis.zadd(self._keys.deadlines(partition_of(self.id)), {self.id: 1})
            reply = await self._log.requeue(self.id)
            self._note("requeue", reply.answer)
            if reply.answer in (Answer.EXHAUSTED, Answer.INTERRUPTED):
                await self._finish()

    async def _finish(self) -> None:
        for _ in range(2 if self._is_lost() else 1):
            if self.rng.random() < 0.5:
                reply = await self._log.cancel(self.id)
            else:
                reply = await self._log.fail(self.id, "worker_lost", "lost", retryable=True)
            self._note("finish", reply.answer)
            if self.status is None:
                assert reply.answer is Answer.OK
                self.status = reply.status
            elif self.status == "deleted":
                assert reply.answer is Answer.GONE
            else:
                assert reply == (Answer.ALREADY, self.status), "two endings"

    async def _delete(self) -> None:
        answer = await self._log.delete(self.id, TENANT)
        self._note("delete", answer)
        assert answer is (Answer.GONE if self.status == "deleted" else Answer.OK)
        self.status = "deleted"

    async def _join(self) -> None:
        self.transcripts.append(Transcript(self.id, f"joiner {len(self.trace)}"))

    async def _read(self, transcript: Transcript | None = None) -> bool:
        """One page for one reader, which may just have come back; whether there was anything."""
        transcript = transcript or self.rng.choice(self.transcripts)
        after = transcript.cursor
        if after != START and self.status != "deleted" and self.rng.random() < 0.3:
            assert await self._reader.has(self.id, after), f"{after} is not in the log any more"
        page = await self._reader.page(self.id, after)
        for entry in page:
            transcript.saw(frame_of(entry))
        return bool(page)

    # -- what is known ---------------------------------------------------------------------------

    def _judge(self, attempt: Attempt, reply: SeqReply) -> None:
        """Only the last to take an open log is heard; a worker told to stop is never heard again."""
        repeats = reply.answer is Answer.DUP
        if reply.answer in LOST:
            attempt.lost = attempt.lost or reply.answer
        elif not repeats:
            self.from_zombies += attempt.lost is not None
            assert attempt.lost is None, f"heard after {attempt.lost}"
            assert self.status is None, f"heard when {self.status}"
        if self.status is None:
            owner = self.attempts[-1] is attempt
            assert (reply.answer not in LOST) == owner, (
                f"{reply.answer} to {'the owner' if owner else 'a former owner'}"
            )
        elif not repeats:
            assert reply.answer is self._over(), f"{reply.answer} when {self.status}"

    def _over(self) -> Answer:
        return Answer.GONE if self.status == "deleted" else Answer.CLOSED

    def _some(self) -> Attempt | None:
        return self.rng.choice(list(self._current.values())) if self._current else None

    def _more(self, attempt: Attempt) -> int:
        """Let the attempt say a little more; how many entries it has then."""
        for _ in range(self.rng.randint(0, 3)):
            if attempt.terminal is None:
                attempt.say(self.rng)
        if len(attempt.entries) <= attempt.acknowledged + 1 and attempt.terminal is None:
            attempt.say(self.rng)
        return len(attempt.entries)

    def _is_lost(self) -> bool:
        return self.rng.random() < 0.15

    def _note(self, what: str, answer: Answer, at: int = -1) -> None:
        self.trace.append(f"{what} -> {answer}{f' {at}' if at >= 0 else ''}")


def frame_of(entry: Logged) -> Frame:
    """An entry as the API would send it."""
    cursor, kind, text = str(entry.cursor), entry.type.decode(), entry.data.decode()
    return Frame(cursor, kind, text, f"id: {cursor}\nevent: {kind}\ndata: {text}\n".encode(), cursor)
