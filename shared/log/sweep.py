"""Owns finding what has been forgotten: generations whose worker died, or that no worker ever took.

Runs in every worker and every API process, so that as long as anything lives, everything ends. Many
sweepers do no harm: of all that ask about one generation, the log says OK to one (R24).
"""

import asyncio
import logging
import random
from typing import Final

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.replies import ReplyCode
from outlive.shared.queue.queue import Queue
from outlive.shared.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_MAX_S: Final = 1.0
_PER_LEASE: Final = 4
"""With a short lease sweep more often: recovery is promised as lease + 2 s, not as lease + sweep."""

_PERIOD: Final = 0.7
"""Of the time between two looks: shorter than any jittered wait, so nobody's turn is ever skipped."""

LOST_MESSAGES: Final = {
    "worker_lost": "The worker that wrote this answer was lost.",
    "worker_shutdown": "The worker that wrote this answer was shut down.",
    "upstream_interrupted": "The provider broke off in the middle of the answer.",
}


class Sweep:
    """`run` looks about once a second."""

    def __init__(self, eventlog: EventLog, queue: Queue, measures: Metrics, *, lease_s: float) -> None:
        self._log = eventlog
        self._queue = queue
        self._measures = measures
        self._every_s = min(_MAX_S, lease_s / _PER_LEASE)

    async def run(self) -> None:
        """Until cancelled. With Redis away there is nothing to sweep."""
        while True:
            await asyncio.sleep(self._every_s * random.uniform(0.75, 1.25))
            try:
                for generation_id in await self._log.overdue(self._every_s * _PERIOD):
                    await self._sweep(generation_id)
            except LogUnavailable:
                continue

    async def _sweep(self, generation_id: str) -> None:
        due = await self._log.requeue(generation_id)
        match due.answer:
            case ReplyCode.OK:
                if await self._queue.enqueue(generation_id, due.delivery):
                    log.warning("overdue; delivery %d enqueued", due.delivery, extra={"generation": generation_id})
            case ReplyCode.PAST_DEADLINE:
                message = "The answer was not finished by its deadline."
                reply = await self._log.fail(generation_id, "deadline_exceeded", message, retryable=True)
                if reply.answer is ReplyCode.OK:
                    self._measures.ended("failed", "deadline_exceeded")
                await self._queue.hint(generation_id)
                await self._queue.leave(generation_id)
            case ReplyCode.EXHAUSTED | ReplyCode.INTERRUPTED:
                await fail_lost(self._log, self._measures, generation_id, due.reason)
                await self._queue.leave(generation_id)
            case _:
                return


async def fail_lost(eventlog: EventLog, measures: Metrics, generation_id: str, reason: str) -> None:
    """Close a generation that no further attempt may be made at."""
    reply = await eventlog.fail(generation_id, reason, LOST_MESSAGES[reason], retryable=True)
    if reply.answer is ReplyCode.OK:
        measures.ended("failed", reason)
