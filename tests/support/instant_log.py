"""Owns a log that takes everything at once, or nothing while it is held: a publication without Redis.

The publication is the real one; what a publisher would do for it happens here, in no time.
"""

from typing import Any

from outlive.shared.log.replies import ReplyCode, SeqReply, TakeReply
from outlive.shared.model.codec import decode_json
from outlive.worker.publishing.append_metrics import AppendMetrics
from outlive.worker.publishing.outbox import Outbox, OutboxLimits
from outlive.worker.publishing.publication import Publication
from tests.support.hand_clock import HandClock
from tests.support.metrics_reading import unread_worker_metrics

LIMITS = OutboxLimits(unflushed_events=8, max_event_bytes=1024, max_output_bytes=10_000)


class InstantLog:
    """The log of one attempt just taken."""

    def __init__(
        self, clock: HandClock, *, attempt: int = 1, deadline_s: float = 60.0, limits: OutboxLimits = LIMITS
    ) -> None:
        self.events: list[tuple[str, Any]] = []
        """Type and data of everything in the log."""
        self.is_held = False
        taken = TakeReply(ReplyCode.OK, epoch=17, attempt=attempt, counted=1, remaining_s=deadline_s, age_s=2.0)
        self.metrics = unread_worker_metrics()
        self.publication = Publication(
            Outbox("gen_x", taken, limits),
            "token",
            taken,
            group="",
            wake=lambda _: self.take(),
            metrics=AppendMetrics(self.metrics, taken, clock.time()),
            clock=clock.time,
        )

    def hold(self) -> None:
        """Take nothing more, until `take` after `release`."""
        self.is_held = True

    def release(self) -> None:
        self.is_held = False
        self.take()

    def take(self) -> None:
        """Append what waits, unless held."""
        while not self.is_held and (batch := self.publication.next_batch()) is not None:
            self.events += [(entry.type, decode_json(entry.data)) for entry in batch.entries]
            self.publication.on_append(batch)
            self.publication.on_reply(SeqReply(ReplyCode.OK, batch.first_seq + len(batch.entries) - 1))

    def types(self) -> list[str]:
        return [kind for kind, _ in self.events]
