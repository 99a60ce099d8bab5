"""Owns what a fault cost: events lost, events doubled, promises broken, and how long recovery took.

Pure. I1 to I7 and I9 are in `tests/support/invariants.py`. Here are the two that need more than transcripts:

    I8   after FENCED, CLOSED or GONE a worker writes nothing to that attempt, and its upstream
         socket closes within 1 s
    I10  a terminal comes within lease + slack after the last fault has ended
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from outlive.shared.model.cursor import Cursor
from tests.chaos.redis_tap import LOST, TappedCommand
from tests.support.invariants import LogEntry
from tests.support.sse import Frame
from tests.support.transcript import Transcript

CLOSED_WITHIN_S: Final = 1.0
_IN_FLIGHT_S: Final = 0.5
"""A worker may send an append before it reads the reply to a renewal on another connection. On a busy machine
it may also wait for the CPU before it reads that reply."""


class TimedTranscript(Transcript):
    """A transcript with the time of each frame and connection (monotonic clock)."""

    def __init__(self, generation_id: str, name: str, clock: Callable[[], float]) -> None:
        super().__init__(generation_id, name)
        self.times: list[float] = []
        """One for each frame."""
        self.connected_at: list[float] = []
        self._clock = clock

    def connected(self, base_url: str) -> None:
        self.connected_at.append(self._clock())
        super().connected(base_url)

    def saw(self, frame: Frame) -> None:
        self.times.append(self._clock())
        super().saw(frame)


@dataclass
class Cost:
    """What one fault cost in one run."""

    lost: int = 0
    doubled: int = 0
    broken: list[str] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)


def count_lost_and_doubled(transcript: Transcript, log: Sequence[LogEntry]) -> tuple[int, int]:
    """Events in which this viewer and the log differ, and events that this viewer got twice.

    Only since its last reset: a viewer knows what a reset took back.
    """
    segment = transcript.segments()[-1]
    entries = [Cursor.parse(entry_id) for entry_id, _, _ in log]
    terminal = transcript.terminal
    cut = Cursor.parse(terminal.data["cut"]) if terminal and "cut" in terminal.data else None
    seen: list[Cursor] = []
    for s in segment.seen:
        if cut is None or s.cursor <= cut or s.frame is terminal:
            seen += [Cursor(s.cursor.epoch, seq) for seq in range(s.first, s.cursor.seq + 1)]
    distinct = set(seen)
    return len(distinct ^ {entry for entry in entries if entry > segment.after}), len(seen) - len(distinct)


def recovery_s(transcript: TimedTranscript, began_at: float, *, recovered_by: str, ended_at: float) -> float | None:
    """Seconds from the fault until the first event that this viewer got because the fault was over.

    `recovered_by` says which event that is: `attempt` (the new attempt, or the end), `connection` (the first one on
    a connection made after the fault began) or `event` (the first one after the fault ended). None for a viewer that
    had come to the end before.
    """
    after = began_at
    if recovered_by == "connection":
        after = min((at for at in transcript.connected_at if at > began_at), default=float("inf"))
    elif recovered_by == "event":
        after = max(began_at, ended_at)
    for frame, at in zip(transcript.frames, transcript.times, strict=True):
        if at > after and (recovered_by != "attempt" or _starts_or_ends_attempt(frame)):
            return at - began_at
    return None


def _starts_or_ends_attempt(frame: Frame) -> bool:
    return frame.event in ("attempt", "completed", "failed", "cancelled")


def zombie_faults(
    sent: Iterable[TappedCommand],
    takes: Sequence[TappedCommand],
    requests: Sequence[Mapping[str, Any]],
    generation_id: str,
) -> list[str]:
    """How one worker broke I8 for one generation.

    `sent`: what this worker sent to Redis. `takes`: the accepted takes of all workers. `requests`: the provider's
    record of this generation; a request belongs to the attempt that began last before it.
    """
    mine = [tapped for tapped in sent if tapped.command.generation_id == generation_id and tapped.epoch]
    faults = []
    for epoch in {tapped.epoch for tapped in mine}:
        of_epoch = [tapped for tapped in mine if tapped.epoch == epoch]
        lost_at = min((tapped.replied_at for tapped in of_epoch if tapped.reply in LOST), default=None)
        if lost_at is None:
            continue
        late = [t for t in of_epoch if t.command.verb == "append" and t.sent_at > lost_at + _IN_FLIGHT_S]
        if late:
            after_s = late[-1].sent_at - lost_at
            faults.append(f"I8 broken: an append of {generation_id} epoch {epoch} {after_s:.2f} s after it was lost")
        begun_at = min(tapped.sent_at for tapped in of_epoch)
        next_begun_at = min((take.replied_at for take in takes if take.epoch > epoch), default=lost_at)
        for request in requests:
            if begun_at <= request["opened_monotonic"] < next_begun_at:
                closed_at = request["closed_monotonic"]
                if closed_at is None or closed_at > lost_at + CLOSED_WITHIN_S:
                    faults.append(
                        f"I8 broken: upstream of {generation_id} open {CLOSED_WITHIN_S:g} s after epoch {epoch}"
                    )
    return faults


def late_faults(transcripts: Iterable[TimedTranscript], latest: float) -> list[str]:
    """How viewers broke I10: their terminals came after `latest`."""
    return [
        f"I10 broken: {t.name} of {t.generation_id} came to its end {t.times[-1] - latest:.1f} s too late"
        for t in transcripts
        if t.terminal is not None and t.times[-1] > latest
    ]
