"""Owns one delivery: take the generation, run attempts until it is closed or no longer ours.

`arqworker.py` runs it and arq awaits it. Whatever happens here, the delivery ends and arq keeps nothing of it: the log
counts attempts, and the sweep finds a delivery that is lost. Knows neither Lua nor the SDK.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from outlive.shared.errors import LogUnavailable, OwnershipLost
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.log.replies import ReplyCode, TakeReply
from outlive.shared.log.sweep import fail_lost
from outlive.shared.model.codec import decode_json
from outlive.shared.model.events import Failed, Terminal
from outlive.shared.model.generation import ECHO
from outlive.shared.model.stored_request import is_slow, unpack
from outlive.shared.queue.queue import Queue
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import Span, Traces, Value
from outlive.worker.attempt.attempt import Attempt
from outlive.worker.attempt.earlier_attempts import EarlierAttempts, read_earlier
from outlive.worker.attempt.model import Model
from outlive.worker.attempt.model_turn import Interrupted
from outlive.worker.attempt.retry import restart_wait_s
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from outlive.worker.publishing.replication_hold import ReplicationHold
from outlive.worker.tools.toolbox import Toolbox

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_RETRY_S: Final = 0.2
_LARGE_BYTES: Final = 65_536
_FAILED_REQUEST_S: Final = 60.0
"""These two are those of `lua/prelude/generation.lua`."""
_ACKNOWLEDGE_S: Final = 1.0
"""How long a hand-over waits until the log has everything."""


class Job:
    """Runs deliveries; one instance per process."""

    def __init__(
        self,
        eventlog: EventLog,
        reader: LogReader,
        queue: Queue,
        publisher: Publisher,
        hold: ReplicationHold,
        model: Model,
        toolbox: Toolbox,
        metrics: WorkerMetrics,
        traces: Traces,
    ) -> None:
        self._log = eventlog
        self._reader = reader
        self._queue = queue
        self._publisher = publisher
        self._hold = hold
        self._model = model
        self._toolbox = toolbox
        self._metrics = metrics
        self._traces = traces
        self._silent: set[str] = set()
        """Generations of this process whose last attempt ended in the provider's silence."""
        self.draining = asyncio.Event()
        """Set when the drain time is over: attempts that still run are handed over."""

    async def deliver(self, generation_id: str) -> None:
        """Run one delivery to its end. Returns normally even if there was nothing to do."""
        again = True
        while again:
            token = uuid.uuid4().hex
            taken = await self._take(generation_id, token)
            again = taken.code is ReplyCode.OK and await self._trace_attempt(generation_id, token, taken)
        self._silent.discard(generation_id)
        if taken.code not in (ReplyCode.OK, ReplyCode.HELD):
            await self._leave(generation_id)

    async def _take(self, generation_id: str, token: str) -> TakeReply:
        """Take it, or end it if no further attempt may be made."""

        async def take() -> TakeReply:
            await self._publisher.wait_out_grace(generation_id)
            taken = await self._log.take(generation_id, token)
            if taken.code in (ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED):
                await fail_lost(self._log, self._metrics, generation_id, taken.reason)
            return taken

        return await _insist(take)

    async def _trace_attempt(self, generation_id: str, token: str, taken: TakeReply) -> bool:
        attributes: dict[str, Value] = {
            "outlive.generation.id": generation_id,
            "outlive.attempt": taken.attempt,
            "outlive.attempt.reason": taken.reason,
            "outlive.age_s": taken.age_s,
        }
        with (
            self._traces.under(taken.trace).child("attempt", "consumer", attributes) as span,
            logs.about(generation=generation_id, attempt=taken.attempt, trace=span.trace_id),
        ):
            return await self._attempt(generation_id, token, taken, span)

    async def _attempt(self, generation_id: str, token: str, taken: TakeReply, span: Span) -> bool:
        """One attempt; whether another should follow at once."""
        self._metrics.began(taken.reason)
        stored = taken.request
        request = await asyncio.to_thread(upstream_request, stored) if is_slow(stored) else upstream_request(stored)
        publication = self._publisher.open(generation_id, token, taken)
        attempt = Attempt(
            request,
            publication,
            self._model.traced(span),
            self._toolbox,
            partial(self._read_earlier, generation_id, taken.epoch),
        )
        try:
            return await self._guard(attempt, publication)
        except OwnershipLost as lost:
            span.fail(lost.reply)
            log.info("ownership lost: the log replied %s", lost.reply)
            return False
        finally:
            if publication.is_over:
                self._count(publication.terminal, span)
                self._hold.hold(publication)
            else:
                self._publisher.forget(publication)
            if publication.since_cancel_s is not None:
                # The upstream's socket is closed by now.
                self._metrics.closed_socket(publication.since_cancel_s)
            if publication.is_closed:
                await self._leave(generation_id, log_bytes=publication.log_bytes, kept_s=_kept_s(publication))

    def _count(self, terminal: Terminal | None, span: Span) -> None:
        code = terminal.code if isinstance(terminal, Failed) else ""
        if terminal is not None:
            self._metrics.ended(terminal.type, code)
            log.info("generation %s%s", terminal.type, f": {code}" if code else "")
        if code:
            span.fail(code)

    async def _leave(self, generation_id: str, *, log_bytes: int = 0, kept_s: float | None = None) -> None:
        with suppress(LogUnavailable):
            await self._queue.leave(generation_id, log_bytes=log_bytes, kept_s=kept_s)

    async def _read_earlier(self, generation_id: str, epoch: int) -> EarlierAttempts:
        return await _insist(partial(read_earlier, self._reader, generation_id, epoch))

    async def _guard(self, attempt: Attempt, publication: Publication) -> bool:
        """Run the attempt, and stop it as soon as ownership is lost or the worker must go."""
        running = asyncio.create_task(attempt.run(), name=f"attempt {publication.generation_id}")
        lost = asyncio.create_task(publication.lost.wait())
        drained = asyncio.create_task(self.draining.wait())
        try:
            await asyncio.wait({running, lost, drained}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            elif drained.done() and not lost.done():
                await _stop(running)
                await self._hand_over(publication)
            return False
        except Interrupted as interrupted:
            return await self._restart_or_fail(attempt, publication, interrupted)
        except (OwnershipLost, asyncio.CancelledError):
            raise
        except Exception:
            # Our mistake, not the provider's. Viewers must not wait for a worker that has given up.
            log.exception("failed inside the worker")
            message = "Something went wrong inside Outlive; the worker's log has the details."
            await publication.close(attempt.failed("internal", message, retryable=True))
            return False
        finally:
            for task in (running, lost, drained):
                await _stop(task)

    async def _restart_or_fail(self, attempt: Attempt, publication: Publication, interrupted: Interrupted) -> bool:
        taken = publication.taken
        is_silent = interrupted.cause.failed_code == "upstream_timeout"
        # A silence that came twice in the same way is no reason for a third attempt: each costs the whole clock.
        was_silent = is_silent and publication.generation_id in self._silent
        if is_silent:
            self._silent.add(publication.generation_id)
        if was_silent or not may_restart(taken, self._log.max_attempts):
            await publication.close(attempt.failed_by(interrupted.cause))
            return False
        # The code and not the message: a provider may repeat the prompt in it.
        log.warning("the provider broke off: %s", interrupted.cause.failed_code)
        # Before the release, because until then no other worker can take the generation.
        await asyncio.sleep(restart_wait_s())
        reply = await _insist(
            partial(self._log.release, publication.generation_id, taken.epoch, "upstream_interrupted")
        )
        return reply.code is ReplyCode.OK

    async def _hand_over(self, publication: Publication) -> None:
        """Give the generation to another worker at once, without counting this attempt."""
        generation_id = publication.generation_id
        try:
            # A tool whose result is not in the log would be run a second time.
            with suppress(TimeoutError):
                async with asyncio.timeout(_ACKNOWLEDGE_S):
                    await publication.wait_until_acknowledged()
            reply = await self._log.release(generation_id, publication.epoch, "worker_shutdown")
            if reply.code is ReplyCode.OK:
                await self._queue.enqueue(generation_id, reply.delivery)
        except LogUnavailable:
            log.warning("could not be handed over: redis is away; another worker takes it when its lease has run out")


async def _insist(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask until Redis replies, however long it is away."""
    while True:
        try:
            return await ask()
        except LogUnavailable:
            await asyncio.sleep(_RETRY_S * random.uniform(1, 2))


async def _stop(task: asyncio.Task[Any]) -> None:
    """Cancel, and wait until the task has really ended, so that its sockets are closed."""
    task.cancel()
    await asyncio.wait({task})


def may_restart(taken: TakeReply, max_attempts: int) -> bool:
    """Whether another attempt may follow one that the upstream has interrupted."""
    return taken.may_restart and taken.counted < max_attempts


def _kept_s(publication: Publication) -> float | None:
    """How long a failed answer's bytes count, if not for its retention; see `close` in `lua/prelude/generation.lua`."""
    is_empty = isinstance(publication.terminal, Failed) and publication.output_tokens == 0
    return _FAILED_REQUEST_S if is_empty and len(publication.taken.request) > _LARGE_BYTES else None


def upstream_request(stored: bytes) -> dict[str, Any]:
    """The stored request without the fields that are for the API alone. Raises `ValueError`."""
    request: dict[str, Any] = decode_json(unpack(stored))
    request.pop(ECHO, None)
    return request
