"""Owns what a fault cost: events lost, events doubled, promises broken, and how long it took.

Pure. I1 to I7 and I9 are `support/invariants.py`'s; here are the two that need more than
transcripts:

    I8   after FENCED, CLOSED or GONE a worker writes nothing to that attempt, and its upstream
         socket closes within 1 s
    I10  a terminal comes within lease + slack after the last fault heals
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from outlive.shared.model.cursor import Cursor
from tests.chaos.redis_tap import LOST, Said
from tests.support.invariants import LogEntry
from tests.support.sse import Frame
from tests.support.transcript import Transcript

CLOSED_WITHIN_S: Final = 1.0
_IN_FLIGHT_S: Final = 0.5
"""An append may have left before the answer to a renewal on another connection was read, and on a busy
machine a process may have to wait for its turn to read it."""


class TimedTranscript(Transcript):
    """A transcript that knows when each thing happened (monotonic)."""

    def __init__(self, generation_id: str, name: str, clock: Callable[[], float]) -> None:
        super().__init__(generation_id, name)
        self.times: list[float] = []
        """Of each frame."""
        self.connected_at: list[float] = []
        self._clock = clock

    def connected(self, base_url: str) -> None:
        self.connected_at.append(self._clock())
        super().connected(base_url)

    def saw(self, frame: Frame) -> None:
        self.times.append(self._clock())
        super().saw(frame)


@dataclass
class Toll:
    """What one fault cost in one run."""

    lost: int = 0
    doubled: int = 0
    broken: list[str] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)


def count(transcript: Transcript, log: Sequence[LogEntry]) -> tuple[int, int]:
    """Events of the log this viewer did not get, or got and the log does not have; and events it
    got twice. Only since its last reset: what a reset took back was not lost quietly."""
    segment = transcript.segments()[-1]
    entries = [Cursor.parse(entry_id) for entry_id, _, _ in log]
    terminal = transcript.terminal
    cut = Cursor.parse(terminal.data["cut"]) if terminal and "cut" in terminal.data else None
    covered: list[Cursor] = []
    for s in segment.seen:
        if cut is None or s.cursor <= cut or s.frame is terminal:
            covered += [Cursor(s.cursor.epoch, seq) for seq in range(s.first, s.cursor.seq + 1)]
    seen = set(covered)
    return len(seen ^ {at for at in entries if at > segment.after}), len(covered) - len(seen)


def recovery_s(transcript: TimedTranscript, since: float, *, by: str, healed_at: float) -> float | None:
    """From the fault until the first event this viewer got because the fault was over.

    `by` says which one that is: `attempt` (the new attempt, or the end), `connection` (the first on
    a connection made after the fault) or `event` (the first after the fault was healed). None for a
    viewer that had come to the end before.
    """
    after = since
    if by == "connection":
        after = min((at for at in transcript.connected_at if at > since), default=float("inf"))
    elif by == "event":
        after = max(since, healed_at)
    for frame, at in zip(transcript.frames, transcript.times, strict=True):
        if at > after and (by != "attempt" or _is_turn(frame)):
            return at - since
    return None


def _is_turn(frame: Frame) -> bool:
    return frame.event in ("attempt", "completed", "failed", "cancelled")


def zombie_faults(
    said: Iterable[Said], takes: Sequence[Said], asked: Sequence[Mapping[str, Any]], generation_id: str
) -> list[str]:
    """I8 of one worker and one generation. `takes`: by which any worker got it. `asked`: the
    provider's record of this generation; a request is the attempt's that was the last to begin."""
    mine = [one for one in said if one.command.generation_id == generation_id and one.epoch]
    faults = []
    for epoch in {one.epoch for one in mine}:
        spoken = [one for one in mine if one.epoch == epoch]
        told = min((one.answered_at for one in spoken if one.answer in LOST), default=None)
        if told is None:
            continue
        late = [o for o in spoken if o.command.verb == "append" and o.at > told + _IN_FLIGHT_S]
        if late:
            after_s = late[-1].at - told
            faults.append(f"I8 broken: an append of {generation_id} epoch {epoch} {after_s:.2f} s after it was lost")
        begun = min(one.at for one in spoken)
        until = min((take.answered_at for take in takes if take.epoch > epoch), default=told)
        for one in asked:
            if begun <= one["opened_monotonic"] < until:
                closed = one["closed_monotonic"]
                if closed is None or closed > told + CLOSED_WITHIN_S:
                    faults.append(
                        f"I8 broken: upstream of {generation_id} open {CLOSED_WITHIN_S:g} s after epoch {epoch}"
                    )
    return faults


def late_faults(transcripts: Iterable[TimedTranscript], latest: float) -> list[str]:
    """I10: whose terminal came after `latest`."""
    return [
        f"I10 broken: {t.name} of {t.generation_id} came to its end {t.times[-1] - latest:.1f} s too late"
        for t in transcripts
        if t.terminal is not None and t.times[-1] > latest
    ]
