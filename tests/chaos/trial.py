"""Owns one run of one fault: answers under way, their viewers, when the fault came, and the verdict.

Knows nothing of which fault it is.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.chaos.fleet import LEASE_S, Fleet
from tests.chaos.verdict import TimedTranscript, Toll, count, late_faults, recovery_s, zombie_faults
from tests.support.invariants import check_invariants
from tests.support.processes import OsProcess
from tests.support.stack import WorkerProcess, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

SLACK_S: Final = 4.0
"""What I10 allows beyond the lease: the promise says 2 s, and a new process shares two cores with
all others here."""

STREAM_S: Final = 4.0
"""How long a `begin_stream` speaks: the fault falls into it, and so does the return."""

_WAIT_S: Final = 30.0


class Watcher(Viewer):
    """A viewer whose transcript knows times."""

    def __init__(self, generation_id: str, urls: Sequence[str], **habits: Any) -> None:
        super().__init__(generation_id, urls, **habits)
        self.timed = TimedTranscript(generation_id, self.transcript.name, time.monotonic)
        self.transcript = self.timed

    def seen(self, kind: str) -> int:
        """How many frames of this kind it has seen of the attempt it is in."""
        seen = 0
        for frame in self.transcript.frames:
            seen = 0 if frame.event in ("attempt", "reset") else seen + (frame.event == kind)
        return seen


class Answer:
    """One generation and those who watch it."""

    def __init__(self, generation_id: str, model: str, gate: str, watchers: list[Watcher]) -> None:
        self.generation_id = generation_id
        self.model = model
        self.gate = gate
        self.watchers = watchers
        self.watching: asyncio.Future[list[Any]] = asyncio.gather(*(watcher.follow() for watcher in watchers))
        self.snapshot: dict[str, Any] = {}

    def add(self, watcher: Watcher) -> None:
        """One who comes later."""
        self.watchers.append(watcher)
        self.watching = asyncio.gather(self.watching, watcher.follow())

    @property
    def reasons(self) -> list[str]:
        """Why each attempt began, as its first viewer saw it."""
        return [f.data["reason"] for f in self.watchers[0].transcript.frames if f.event == "attempt"]


class Trial:
    """Begin answers, strike, heal, judge."""

    def __init__(self, fleet: Fleet, seed: str) -> None:
        self.fleet = fleet
        self.chance = random.Random(seed)
        self.toll = Toll()
        self.notes: Counter[str] = Counter()
        self.answers: list[Answer] = []
        self.struck_at = self.healed_at = 0.0
        self.not_promised = False
        """The fault takes with it what nobody promises to keep: events may be missing from the
        log that viewers have seen. Counted, not forbidden."""

    async def begin(
        self,
        *,
        viewers: int = 2,
        pace_s: float = 0.01,
        tokens: int | None = 60,
        gate_after: int | None = None,
        within_s: float = 60.0,
        wishes: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> Answer:
        """One answer with its viewers; with `gate_after` the provider stops there until `open`."""
        mark = self.chance.getrandbits(60)
        gated = {} if gate_after is None else {"gate": f"g{mark}", "gate_after": gate_after}
        said = {} if tokens is None else {"tokens": tokens}
        model = demo(pace_s=pace_s, seed=mark, **said, **gated, **(wishes or {}))
        generation_id = await self.fleet.stack.create(model, api=self.chance.choice(self.fleet.living_apis), **fields)
        answer = Answer(
            generation_id, model, f"g{mark}", [self._watcher(generation_id, within_s) for _ in range(viewers)]
        )
        self.answers.append(answer)
        return answer

    async def join(self, answer: Answer, **habits: Any) -> Watcher:
        """One more viewer, from the beginning."""
        late = self._watcher(answer.generation_id, 60.0, **habits)
        answer.add(late)
        return late

    async def seen(self, *answers: Answer, tokens: int = 1, kind: str = "token") -> None:
        """Wait until every viewer of these has so many events of this kind, or its end."""
        for watcher in [watcher for answer in answers or self.answers for watcher in answer.watchers]:

            def has(watcher: Watcher = watcher) -> bool:
                return watcher.seen(kind) >= tokens or watcher.transcript.terminal is not None

            await until(has, _WAIT_S, f"{tokens} {kind} events in {watcher.transcript.name}")

    async def open(self, *answers: Answer) -> None:
        """Let the provider go on."""
        for answer in answers or self.answers:
            await self.fleet.stack.model.open_gate(answer.gate)

    def strike(self) -> None:
        """The fault begins now."""
        self.struck_at = self.healed_at = time.monotonic()

    def heal(self) -> None:
        """The fault is over now."""
        self.healed_at = time.monotonic()

    async def begin_stream(self) -> tuple[Answer, WorkerProcess]:
        """An answer that flows while everything happens, and its first owner."""
        answer = await self.begin(pace_s=0.02, tokens=int(STREAM_S / 0.02))
        await self.seen(tokens=3)
        return answer, await self.fleet.owner(answer.generation_id)

    async def settle(
        self,
        *,
        by: str = "attempt",
        answer_s: float = 2.0,
        slack_s: float = SLACK_S,
        recovering: Sequence[Answer] | None = None,
    ) -> None:
        """Wait until every viewer has its end, and judge: I1 to I10, lost, doubled, recovery.

        `answer_s`: how long the provider may still take once the fault is over; `recovering`: whose
        viewers the fault met, if not all.
        """
        for answer in self.answers:
            await answer.watching
        latest = self.healed_at + LEASE_S + slack_s + answer_s
        for answer in self.answers:
            await self._judge(answer, latest)
        for answer in (recovering or self.answers) if self.struck_at else ():
            found = [recovery_s(w.timed, self.struck_at, by=by, healed_at=self.healed_at) for w in answer.watchers]
            self.toll.recoveries_s += [one for one in found if one is not None]

    async def settle_one_writer(self, answer: Answer, zombie: OsProcess) -> None:
        """Settle, where a worker came back to find another in its place: it wrote nothing more, and
        its successor was left alone."""
        await self.settle(answer_s=STREAM_S)
        first, second = (said for _, said in self.fleet.takes(answer.generation_id))
        accepted = [
            said
            for said in self.fleet.link(zombie).tap.said
            if said.command.verb == "append" and said.epoch == first.epoch and said.answer == "OK"
        ]
        assert [said for said in accepted if said.at > second.answered_at] == []
        assert answer.snapshot["status"] == "completed"
        assert answer.reasons == ["started", "worker_lost"]

    async def _judge(self, answer: Answer, latest: float) -> None:
        answer.snapshot = await self.fleet.stack.closed(answer.generation_id, api=self.fleet.living_apis[0])
        late = self._watcher(answer.generation_id, 20.0)
        await late.follow()
        timed = [watcher.timed for watcher in answer.watchers]
        everybody = [*timed, late.timed]
        log = await self.fleet.stack.log(answer.generation_id)
        for transcript in everybody:
            lost, doubled = count(transcript, log)
            self.toll.lost += lost
            self.toll.doubled += doubled
            self.notes["resets"] += transcript.resets
        try:
            check_invariants(everybody, answer.snapshot, None if self.not_promised else log)
        except AssertionError as broken:
            self.toll.broken.append(str(broken))
        self.toll.broken += late_faults(timed, latest)
        self.toll.broken += await self.zombies(answer)
        self.notes[answer.snapshot["status"]] += 1

    async def zombies(self, answer: Answer) -> list[str]:
        """I8, of every worker. The provider notices a closed socket a moment after it is closed."""

        async def closed() -> list[dict[str, Any]] | None:
            asked = await self.fleet.asked(answer.model)
            return asked if all(one["end"] != "open" for one in asked) else None

        try:
            asked = await until(closed, 2.0, "every upstream closed")
        except AssertionError:
            asked = await self.fleet.asked(answer.model)
        takes = [said for _, said in self.fleet.takes(answer.generation_id)]
        faults = []
        for worker in self.fleet.workers:
            faults += zombie_faults(self.fleet.link(worker).tap.said, takes, asked or [], answer.generation_id)
        return faults

    def _watcher(self, generation_id: str, within_s: float, **habits: Any) -> Watcher:
        fold = self.chance.choice([False, None])
        seed = self.chance.getrandbits(30)
        return Watcher(generation_id, self.fleet.stack.urls, seed=seed, fold=fold, within_s=within_s, **habits)

    async def leave(self) -> None:
        """Nobody watches any more: a failed run must not go on into the next."""
        for answer in self.answers:
            answer.watching.cancel()
        await asyncio.gather(*(answer.watching for answer in self.answers), return_exceptions=True)
