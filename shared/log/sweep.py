"""Owns finding forgotten generations: their worker died, or no worker ever took them.

Runs in every worker and every API process, so everything ends as long as one process lives. Many sweepers do no harm:
the log replies OK to one of all that ask about a generation (R24).
"""

import asyncio
import logging
import random
from typing import Final, NamedTuple

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.replies import DeliveryReply, ReplyCode
from outlive.shared.queue.queue import Queue
from outlive.shared.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_MAX_S: Final = 1.0
_PER_LEASE: Final = 4
"""With a short lease the sweep runs more often: we promise recovery within lease + 2 s, not within lease + sweep."""

_JITTER: Final = (0.75, 1.25)
_PERIOD: Final = 0.7
"""Share of the interval within which one process sweeps for all. It is below every jittered wait, so a process that
sweeps alone is never refused."""

LOST_MESSAGES: Final = {
    "worker_lost": "The worker that wrote this answer was lost; send the request again.",
    "worker_shutdown": "The worker that wrote this answer was shut down; send the request again.",
    "upstream_interrupted": "The provider broke off in the middle of the answer; send the request again.",
}


_DEADLINE_MESSAGE: Final = "The answer was not finished by its deadline; ask for a later one if it needs more time."


class Failure(NamedTuple):
    """How a generation ends that nobody finished."""

    code: str
    message: str


class Sweep:
    """`run` sweeps about once a second."""

    def __init__(self, eventlog: EventLog, queue: Queue, metrics: Metrics, *, lease_s: float) -> None:
        self._log = eventlog
        self._queue = queue
        self._metrics = metrics
        self._interval_s = interval_s(lease_s)

    async def run(self) -> None:
        """Sweep until cancelled. While Redis is away there is nothing to sweep."""
        while True:
            await asyncio.sleep(self._interval_s * random.uniform(*_JITTER))
            try:
                for generation_id in await self._log.overdue(self._interval_s * _PERIOD):
                    await self._sweep(generation_id)
            except LogUnavailable:
                continue

    async def _sweep(self, generation_id: str) -> None:
        reply = await self._log.requeue(generation_id)
        if reply.code is ReplyCode.OK:
            if await self._queue.enqueue(generation_id, reply.delivery):
                log.warning("overdue; delivery %d enqueued", reply.delivery, extra={"generation": generation_id})
        elif failure := failure_after(reply):
            await _fail(self._log, self._metrics, generation_id, failure)
            if reply.code is ReplyCode.PAST_DEADLINE:
                # Its worker may be alive, and stops sooner with a hint.
                await self._queue.hint(generation_id)
            await self._queue.leave(generation_id)


def interval_s(lease_s: float) -> float:
    """From one sweep to the next, before jitter."""
    return min(_MAX_S, lease_s / _PER_LEASE)


def failure_after(reply: DeliveryReply) -> Failure | None:
    """How the sweep ends the generation after this reply to requeue; None when it is not the sweep's to end."""
    match reply.code:
        case ReplyCode.PAST_DEADLINE:
            return Failure(
                "deadline_exceeded",
                _DEADLINE_MESSAGE,
            )
        case ReplyCode.EXHAUSTED | ReplyCode.INTERRUPTED:
            return Failure(reply.reason, LOST_MESSAGES[reply.reason])
    return None


async def fail_lost(eventlog: EventLog, metrics: Metrics, generation_id: str, reason: str) -> None:
    """Close a generation of which no further attempt is allowed. Raises `LogUnavailable`."""
    await _fail(eventlog, metrics, generation_id, Failure(reason, LOST_MESSAGES[reason]))


async def _fail(eventlog: EventLog, metrics: Metrics, generation_id: str, failure: Failure) -> None:
    reply = await eventlog.fail(generation_id, failure.code, failure.message, retryable=True)
    if reply.code is ReplyCode.OK:
        metrics.ended("failed", failure.code)
