"""Owns what is measured of one attempt's appends: its first token, its pauses, its tokens.

Knows neither the log nor the outbox; the publication calls it once per append that the log has taken, and never per
token: an append is also what viewers get at once.
"""

from outlive.shared.log.eventlog import Batch
from outlive.shared.log.replies import TakeReply
from outlive.worker.metrics import WorkerMetrics


class AppendMetrics:
    """Of one attempt. Times are in seconds of the publication's clock."""

    def __init__(self, metrics: WorkerMetrics, taken: TakeReply, opened_at: float) -> None:
        self._metrics = metrics
        self._taken = taken
        self._opened_at = opened_at
        self._appended_at: float | None = None
        self._tokens = 0

    def appended(self, batch: Batch, now: float) -> None:
        """The log has taken this batch."""
        if (tokens := batch.entries[-1].tokens) > self._tokens:
            self._metrics.wrote(tokens - self._tokens)
            self._tokens = tokens
        if batch.terminal is not None:
            return
        if self._appended_at is not None:
            self._metrics.paused(now - self._appended_at)
        elif self._taken.attempt == 1:
            self._metrics.first_piece(self._taken.age_s + now - self._opened_at)
        self._appended_at = now
