"""Owns what a worker measures of itself. One of the three files that know Prometheus.

Its verbs are those of the worker's own nouns; their callers know nothing of metrics.
"""

from collections.abc import Callable

from prometheus_client import GCCollector, ProcessCollector

from outlive.shared.telemetry.metrics import EVENTS, ROUNDS_S, WAITS_S, Metrics


class WorkerMetrics(Metrics):
    """The metrics of one worker process."""

    def __init__(self, *, slots: int) -> None:
        super().__init__()
        # CPU, memory and open files. The API has them only if it is one process: the metric files that several
        # processes share cannot hold them.
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.gauge("slots", "Generations this worker may run at once.").set(slots)
        self._running = self.gauge("running_generations", "Generations this worker runs now.")
        self._queue_wait = self.histogram(
            "queue_wait_seconds", "From enqueueing to a worker's claim, by Redis's clock.", WAITS_S
        )
        self._first_token = self.histogram(
            "time_to_first_token_seconds",
            "From create to the first piece of the first attempt, by a worker that has it.",
            WAITS_S,
        )
        self._first_piece = self.histogram(
            "upstream_first_piece_seconds",
            "From a request to the provider's first piece of an answer.",
            WAITS_S,
            "upstream",
        )
        self._gap = self.histogram(
            "inter_token_gap_seconds", "Between two appends of one attempt: what its viewers see as a pause.", WAITS_S
        )
        self._tokens = self.counter("output_tokens", "Tokens written to the log, as guessed while they come.")
        self._attempts = self.counter("attempts", "Attempts begun, by reason.", "reason")
        self._batch = self.histogram(
            "append_batch_events", "Events the publisher sent to Redis at once, of all generations.", EVENTS
        )
        self._append = self.histogram("append_seconds", "How long Redis took to answer such a batch.", ROUNDS_S)
        self._cancelled = self.histogram(
            "cancel_to_socket_closed_seconds",
            "From a cancel in the log to the provider's socket closed, by Redis's clock.",
            WAITS_S,
        )
        self._upstream_errors = self.counter(
            "upstream_errors", "Requests to the provider that failed, those asked again included.", "upstream", "code"
        )

    def read_running(self, running: Callable[[], int]) -> None:
        """Ask `running` how many slots are taken, whenever the metrics are read."""
        self._running.set_function(running)

    def claimed(self, waited_s: float) -> None:
        """A delivery was claimed after so long a wait."""
        self._queue_wait.observe(waited_s)

    def began(self, reason: str) -> None:
        """An attempt began."""
        self._attempts.labels(reason).inc()

    def first_piece(self, since_create_s: float) -> None:
        """A generation's first piece is in the log."""
        self._first_token.observe(since_create_s)

    def upstream_answered(self, upstream: str, since_request_s: float) -> None:
        """The first piece of a provider's answer came."""
        self._first_piece.labels(upstream).observe(since_request_s)

    def upstream_failed(self, upstream: str, code: str) -> None:
        """A request to the provider failed."""
        self._upstream_errors.labels(upstream, code).inc()

    def flushed(self, events: int, took_s: float) -> None:
        """Redis replied to a batch of the publisher."""
        self._batch.observe(events)
        self._append.observe(took_s)

    def wrote(self, tokens: int) -> None:
        """So many more tokens of an attempt are in the log."""
        self._tokens.inc(tokens)

    def paused(self, gap_s: float) -> None:
        """So long passed between two appends of one attempt."""
        self._gap.observe(gap_s)

    def closed_socket(self, since_cancel_s: float) -> None:
        """The socket to a cancelled generation's provider is closed."""
        self._cancelled.observe(since_cancel_s)
