"""Owns one run of one fault: the answers and their viewers, when the fault began and ended, and what it cost.

Knows nothing of which fault it is.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.chaos.deployment import LEASE_S, Deployment
from tests.chaos.fault_cost import Cost, TimedTranscript, count_lost_and_doubled, late_faults, recovery_s, zombie_faults
from tests.support.invariants import check_invariants
from tests.support.processes import OsProcess
from tests.support.stack import WorkerProcess, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

SLACK_S: Final = 4.0
"""How long after the lease I10 lets a terminal come. The promise says 2 s; here a new process shares two cores
with everything else."""

STREAM_S: Final = 4.0
"""How long the answer of `start_streaming_answer` takes: the fault begins and ends meanwhile."""

_WAIT_S: Final = 30.0


class TimedViewer(Viewer):
    """A viewer whose transcript has times."""

    def __init__(self, generation_id: str, urls: Sequence[str], **habits: Any) -> None:
        super().__init__(generation_id, urls, **habits)
        self.timed = TimedTranscript(generation_id, self.transcript.name, time.monotonic)
        self.transcript = self.timed

    def count_seen(self, kind: str) -> int:
        """How many frames of this kind it has seen in the current attempt."""
        count = 0
        for frame in self.transcript.frames:
            count = 0 if frame.event in ("attempt", "reset") else count + (frame.event == kind)
        return count


class WatchedAnswer:
    """One generation and its viewers."""

    def __init__(self, generation_id: str, model: str, gate: str, viewers: list[TimedViewer]) -> None:
        self.generation_id = generation_id
        self.model = model
        self.gate = gate
        self.viewers = viewers
        self.watching: asyncio.Future[list[Any]] = asyncio.gather(*(viewer.follow() for viewer in viewers))
        """Done when every viewer has seen its end."""
        self.snapshot: dict[str, Any] = {}

    def add(self, viewer: TimedViewer) -> None:
        """Let a late viewer watch too."""
        self.viewers.append(viewer)
        self.watching = asyncio.gather(self.watching, viewer.follow())

    @property
    def reasons(self) -> list[str]:
        """Why each attempt began, as its first viewer saw it. After a reset it sees the whole log again."""
        frames = self.viewers[0].transcript.frames
        begin = max((n for n, frame in enumerate(frames) if frame.event == "reset"), default=0)
        return [frame.data["reason"] for frame in frames[begin:] if frame.event == "attempt"]


class FaultRun:
    """Starts answers, notes when the fault begins and ends, and checks what viewers saw of it."""

    def __init__(self, deployment: Deployment, seed: str) -> None:
        self.deployment = deployment
        self.chance = random.Random(seed)
        self.cost = Cost()
        self.notes: Counter[str] = Counter()
        self.answers: list[WatchedAnswer] = []
        self.began_at = self.ended_at = 0.0
        self.loss_allowed = False
        """The fault takes away what nobody promises to keep: viewers may have seen events that the log has no
        longer. Such events are counted, but do not fail the test."""

    async def start_answer(
        self,
        *,
        viewers: int = 2,
        pace_s: float = 0.01,
        tokens: int | None = 60,
        gate_after: int | None = None,
        within_s: float = 60.0,
        wishes: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> WatchedAnswer:
        """One answer with its viewers. With `gate_after` the provider stops after so many tokens until `open_gates`."""
        mark = self.chance.getrandbits(60)
        gated = {} if gate_after is None else {"gate": f"g{mark}", "gate_after": gate_after}
        sized = {} if tokens is None else {"tokens": tokens}
        model = demo(pace_s=pace_s, seed=mark, **sized, **gated, **(wishes or {}))
        api = self.chance.choice(self.deployment.living_apis)
        generation_id = await self.deployment.stack.create(model, api=api, **fields)
        watching = [self._viewer(generation_id, within_s) for _ in range(viewers)]
        answer = WatchedAnswer(generation_id, model, f"g{mark}", watching)
        self.answers.append(answer)
        return answer

    async def start_streaming_answer(self) -> tuple[WatchedAnswer, WorkerProcess]:
        """An answer whose tokens flow for `STREAM_S`, and its first owner."""
        answer = await self.start_answer(pace_s=0.02, tokens=int(STREAM_S / 0.02))
        await self.wait_for_events(tokens=3)
        return answer, await self.deployment.owner(answer.generation_id)

    async def add_viewer(self, answer: WatchedAnswer, **habits: Any) -> TimedViewer:
        """One more viewer, from the beginning."""
        late = self._viewer(answer.generation_id, 60.0, **habits)
        answer.add(late)
        return late

    async def wait_for_events(self, *answers: WatchedAnswer, tokens: int = 1, kind: str = "token") -> None:
        """Wait until every viewer of these answers (or of all) has so many events of this kind, or its end."""
        for viewer in [viewer for answer in answers or self.answers for viewer in answer.viewers]:

            def has(viewer: TimedViewer = viewer) -> bool:
                return viewer.count_seen(kind) >= tokens or viewer.transcript.terminal is not None

            await until(has, _WAIT_S, f"{tokens} {kind} events in {viewer.transcript.name}")

    async def open_gates(self, *answers: WatchedAnswer) -> None:
        """Let the provider go on."""
        for answer in answers or self.answers:
            await self.deployment.stack.model.open_gate(answer.gate)

    def fault_begins(self) -> None:
        """Note that the fault begins now."""
        self.began_at = self.ended_at = time.monotonic()

    def fault_ends(self) -> None:
        """Note that the fault is over now."""
        self.ended_at = time.monotonic()

    async def check_nothing_lost_or_doubled(
        self,
        *,
        recovered_by: str = "attempt",
        answer_s: float = 2.0,
        slack_s: float = SLACK_S,
        recovering: Sequence[WatchedAnswer] | None = None,
    ) -> None:
        """Wait until every viewer has its end; then check I1 to I10, count what was lost and doubled, and measure
        recovery. The test fails if something was lost (unless `loss_allowed`), doubled or broken.

        `answer_s`: how long the provider may still take once the fault is over. `recovering`: the answers whose
        viewers the fault hit, if not all. `recovered_by`: see `recovery_s`.
        """
        for answer in self.answers:
            await answer.watching
        latest = self.ended_at + LEASE_S + slack_s + answer_s
        for answer in self.answers:
            await self._check_answer(answer, latest)
        for answer in (recovering or self.answers) if self.began_at else ():
            recoveries = [
                recovery_s(viewer.timed, self.began_at, recovered_by=recovered_by, ended_at=self.ended_at)
                for viewer in answer.viewers
            ]
            self.cost.recoveries_s += [recovery for recovery in recoveries if recovery is not None]

    async def check_only_successor_wrote(self, answer: WatchedAnswer, zombie: OsProcess) -> None:
        """The same, where a worker came back after another had taken over: it wrote nothing more, and its
        successor completed the answer."""
        await self.check_nothing_lost_or_doubled(answer_s=STREAM_S)
        first, second = (take for _, take in self.deployment.takes(answer.generation_id))
        accepted = [
            tapped
            for tapped in self.deployment.link(zombie).tap.log_commands
            if tapped.command.verb == "append" and tapped.epoch == first.epoch and tapped.reply == "OK"
        ]
        assert [tapped for tapped in accepted if tapped.sent_at > second.replied_at] == []
        assert answer.snapshot["status"] == "completed"
        assert answer.reasons == ["started", "worker_lost"]

    async def _check_answer(self, answer: WatchedAnswer, latest: float) -> None:
        answer.snapshot = await self.deployment.stack.closed(answer.generation_id, api=self.deployment.living_apis[0])
        late = self._viewer(answer.generation_id, 20.0)
        await late.follow()
        timed = [viewer.timed for viewer in answer.viewers]
        transcripts = [*timed, late.timed]
        log = await self.deployment.stack.log(answer.generation_id)
        for transcript in transcripts:
            lost, doubled = count_lost_and_doubled(transcript, log)
            self.cost.lost += lost
            self.cost.doubled += doubled
            self.notes["resets"] += transcript.resets
        try:
            check_invariants(transcripts, answer.snapshot, None if self.loss_allowed else log)
        except AssertionError as broken:
            self.cost.broken.append(str(broken))
        self.cost.broken += late_faults(timed, latest)
        self.cost.broken += await self.find_zombie_writes(answer)
        self.notes[answer.snapshot["status"]] += 1

    async def find_zombie_writes(self, answer: WatchedAnswer) -> list[str]:
        """How workers broke I8 for this answer. Waits, because the provider notices a closed socket a little later."""

        async def closed() -> list[dict[str, Any]] | None:
            requests = await self.deployment.provider_requests(answer.model)
            return requests if all(request["end"] != "open" for request in requests) else None

        try:
            requests = await until(closed, 2.0, "every upstream closed")
        except AssertionError:
            requests = await self.deployment.provider_requests(answer.model)
        takes = [take for _, take in self.deployment.takes(answer.generation_id)]
        faults = []
        for worker in self.deployment.workers:
            sent = self.deployment.link(worker).tap.log_commands
            faults += zombie_faults(sent, takes, requests or [], answer.generation_id)
        return faults

    def _viewer(self, generation_id: str, within_s: float, **habits: Any) -> TimedViewer:
        fold = self.chance.choice([False, None])
        seed = self.chance.getrandbits(30)
        return TimedViewer(generation_id, self.deployment.stack.urls, seed=seed, fold=fold, within_s=within_s, **habits)

    async def stop_watching(self) -> None:
        """End all viewers: a failed run must not go on into the next."""
        for answer in self.answers:
            answer.watching.cancel()
        await asyncio.gather(*(answer.watching for answer in self.answers), return_exceptions=True)
