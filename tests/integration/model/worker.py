"""Owns a worker: a real publisher with real outboxes, moved by the model one step at a time.

Its loops do not run; each step is one turn of one of them, so that a seed decides their order.
What it does on GAP, BEHIND or a low renewal is the publisher's own doing.
"""

import random
import time
from typing import Final

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.eventlog import Batch
from outlive.shared.log.replies import ReplyCode
from outlive.shared.log.sweep import fail_lost
from outlive.shared.model.events import Completed, Delta, Failed, Reasoning, Terminal, Token, Usage
from outlive.worker.publishing.outbox import OutboxLimits
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from tests.integration.model.witness import LIMITS, Witness
from tests.support.metrics_reading import unread_worker_metrics

_TEXTS: Final = ("a", "bc", "日本", "\U0001f600", "\n", "\u2028", " d ")
_MAX_EVENTS: Final = 40
_OUTBOX: Final = OutboxLimits(unflushed_events=128, max_event_bytes=65_536, max_output_bytes=1_048_576)


class Worker:
    """One process. `attempts` are those it still cares for."""

    def __init__(self, name: str, eventlog: Witness, rng: random.Random) -> None:
        self.attempts: list[Publication] = []
        self._name = name
        self._log = eventlog
        self._rng = rng
        self._takes = 0
        self._publisher = self._start()

    async def take(self, generation_id: str) -> Publication | None:
        """One delivery arrives."""
        self._takes += 1
        token = f"{self._name}{self._takes}"
        while True:
            try:
                taken = await self._log.take(generation_id, token)
                break
            except LogUnavailable:
                continue
        if taken.code in (ReplyCode.EXHAUSTED, ReplyCode.INTERRUPTED):
            await fail_lost(self._log, unread_worker_metrics(), generation_id, taken.reason)
        if taken.code is not ReplyCode.OK:
            return None
        publication = self._publisher.open(generation_id, token, taken)
        self.attempts.append(publication)
        return publication

    def say(self) -> None:
        """Whatever the upstreams of its attempts say next."""
        for publication in self.attempts:
            for _ in range(self._rng.randint(0, 4)):
                if publication.terminal is None:
                    self._say(publication)

    async def flush(self) -> list[Publication]:
        """One turn of the flushing loop; the attempts that are over now."""
        waiting = list(self._publisher._waiting.values())
        self._publisher._waiting.clear()
        await self._publisher._flush(waiting)
        return self._over()

    async def renew(self) -> list[Publication]:
        """One turn of the renewing loop; the attempts that are over now."""
        await self._publisher._renew(list(self.attempts))
        return self._over()

    async def hand_over(self, reason: str) -> list[Publication]:
        """Let go of every attempt; they are over."""
        for publication in self.attempts:
            while True:
                try:
                    await self._log.release(publication.generation_id, publication.epoch, reason)
                    break
                except LogUnavailable:
                    continue
        return self.forget(only_done=False)

    def forget(self, *, only_done: bool) -> list[Publication]:
        """Stop caring for attempts; with `only_done` for those whose terminal is in the log."""
        over = [p for p in self.attempts if not only_done or p.is_over]
        for publication in over:
            self.attempts.remove(publication)
            self._publisher.forget(publication)
        return over

    def die(self) -> list[Publication]:
        """All it had in memory is lost; another process starts in its place."""
        over, self.attempts = self.attempts, []
        self._publisher = self._start()
        return over

    def _start(self) -> Publisher:
        return Publisher(
            self._log, _OUTBOX, unread_worker_metrics(), time.monotonic, lease_s=LIMITS.lease_s, full_s=LIMITS.lease_s
        )

    def _over(self) -> list[Publication]:
        over = [p for p in self.attempts if p.reply is not None]
        self.attempts = [p for p in self.attempts if p.reply is None]
        return over

    def _say(self, publication: Publication) -> None:
        rng = self._rng
        chars, events = publication.totals()
        if events > _MAX_EVENTS or rng.random() < 0.015:
            usage = Usage(5, events, 5 + events)
            last: Terminal = Completed("stop", usage, chars, events)
            if rng.random() < 0.2:
                last = Failed("upstream_error", "no", True, usage, chars, events)
            publication.end(last)
        else:
            delta: Delta = (Token if rng.random() < 0.7 else Reasoning)(rng.choice(_TEXTS))
            publication.add(delta)


def late_batch(publication: Publication, rng: random.Random) -> Batch | None:
    """Any part of what the attempt ever had, as a command that was long under way."""
    outbox = publication._outbox
    latest = outbox.events_with_terminal() - 2
    if latest < 1:
        return None
    first = rng.randint(max(1, min(outbox.acknowledged_seq - 2, latest)), latest)
    last = rng.randint(first, latest)
    terminal = outbox._terminal if last == latest else None
    return Batch(outbox.generation_id, outbox.epoch, first, outbox._entries[first : last + 1], terminal)
