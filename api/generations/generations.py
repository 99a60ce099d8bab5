"""Owns what can be done with a generation: create, read, count its viewers, cancel, delete, list.

Every verb is the same on all wires. What a request means is in `describe.py`, who may watch in
`watch.py`. Knows nothing of HTTP.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from outlive.api.fanout.hub import Hub
from outlive.api.generations.list_page import read_page
from outlive.api.generations.snapshot import Reduction
from outlive.api.limits.admission import Admission
from outlive.api.metrics import ApiMetrics
from outlive.api.schemas import Page, Reduced, Snapshot, StatusName
from outlive.api.tasks import Tasks
from outlive.shared.errors import GenerationGone, GenerationNotFound, IdempotencyConflict, LogFull, LogUnavailable
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.listing import Listing, ListPosition
from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.log.replies import CreateReply, ReplyCode
from outlive.shared.log.viewer_counts import ViewerCounts
from outlive.shared.model.codec import decode_json
from outlive.shared.model.generation import CLOSED, Meta, NewGeneration, Status, is_id
from outlive.shared.queue.queue import Queue
from outlive.shared.queue.quota import Reservation
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import Traces, Value

_FIRST_DELIVERY: Final = 1
_MODEL_CHARS: Final = 200
"""Of a model's name, in a trace."""
_NOTHING_CREATED: Final = frozenset({ReplyCode.CONFLICT, ReplyCode.GONE})
_TENANT_FULL: Final = frozenset({Reservation.FULL, Reservation.STORED})


class Creation(NamedTuple):
    """A generation that exists; `is_new` if this call created it."""

    new: NewGeneration
    status: str
    created_at: float
    is_new: bool


class Generations:
    """One per process."""

    def __init__(
        self,
        *,
        eventlog: EventLog,
        reader: LogReader,
        listing: Listing,
        queue: Queue,
        admission: Admission,
        hub: Hub,
        viewer_counts: ViewerCounts,
        metrics: ApiMetrics,
        traces: Traces,
        tasks: Tasks,
    ) -> None:
        self._eventlog = eventlog
        self._reader = reader
        self._listing = listing
        self._queue = queue
        self._admission = admission
        self._hub = hub
        self._viewer_counts = viewer_counts
        self._metrics = metrics
        self._traces = traces
        self._tasks = tasks

    async def create(self, new: NewGeneration) -> Creation:
        """Put it into the log and into the queue, also if the caller is cancelled meanwhile. Raises
        `TooManyGenerations`, `TooMuchStored`, `IdempotencyConflict`, `GenerationGone` and `LogUnavailable`.

        Two steps on purpose: the log knows of a generation before any worker can. If the second step is
        lost, the same Idempotency-Key finds the generation still queued and repeats that step (R3)."""
        return await self._tasks.finish(self._create_traced(new))

    async def meta(self, generation_id: str, tenant: str) -> Meta:
        """Its state now. Raises `GenerationNotFound`, `GenerationGone` and `LogUnavailable`."""
        if not is_id(generation_id):
            raise GenerationNotFound
        return await self._reader.meta(generation_id, tenant)

    async def request(self, generation_id: str) -> tuple[bytes, bytes]:
        """Its request as stored, and the caller's metadata. Raises `GenerationGone` and `LogUnavailable`."""
        return await self._reader.asked(generation_id)

    async def read_log(self, generation_id: str, take: Callable[[Logged], object]) -> None:
        """Give `take` every event of the log so far, in order. Raises `LogUnavailable`."""
        async for page in self._reader.pages(generation_id):
            for event in page:
                take(event)

    async def answer(self, generation_id: str) -> Reduced:
        """The answer so far. Raises `LogUnavailable`."""
        reduction = Reduction()
        await self.read_log(generation_id, reduction.add)
        return reduction.result()

    async def snapshot(self, generation_id: str, tenant: str) -> Snapshot:
        """The answer so far with its state. Raises what `meta` raises."""
        await self.meta(generation_id, tenant)
        answer = await self.answer(generation_id)
        # Status, cursor and text come from the same events, so they agree. Meta may be further already; it is
        # read last, so that it has the time of everything the events say, and gives times only.
        meta = await self.meta(generation_id, tenant)
        return Snapshot(
            id=generation_id,
            model=meta.model,
            **answer,
            metadata=decode_json(meta.metadata),
            viewers=await self._viewers(generation_id),
            created_at=meta.created_at,
            started_at=meta.started_at if answer["attempt"] else None,
            finished_at=meta.finished_at if answer["status"] in CLOSED else None,
        )

    async def viewers(self, generation_id: str, tenant: str) -> int:
        """Viewers on all processes. Raises what `meta` raises."""
        await self.meta(generation_id, tenant)
        return await self._viewers(generation_id)

    async def page(self, tenant: str, *, status: StatusName | None, limit: int, before: ListPosition | None) -> Page:
        """Up to `limit` of a tenant's generations, newest first. Raises `LogUnavailable`."""
        return await read_page(
            self._listing.page, self._reader.metas, tenant, status=status, limit=limit, before=before
        )

    async def cancel(self, generation_id: str, tenant: str) -> Status:
        """Stop it, also if the caller is cancelled meanwhile. Returns how it ended, now or before. Raises what
        `meta` raises."""
        await self.meta(generation_id, tenant)
        return await self._tasks.finish(self._cancel(generation_id))

    def cancel_later(self, generation_id: str) -> None:
        """Stop it because its client left; nobody waits for the result."""
        self._tasks.begin(self._cancel_if_possible(generation_id))

    async def delete(self, generation_id: str, tenant: str) -> None:
        """Stop it if it runs, then remove it, also if the caller is cancelled meanwhile. Raises what `meta`
        raises."""
        meta = await self.meta(generation_id, tenant)
        await self._tasks.finish(self._delete(generation_id, meta))

    async def _create_traced(self, new: NewGeneration) -> Creation:
        attributes: dict[str, Value] = {
            "outlive.generation.id": new.id,
            "gen_ai.request.model": new.model[:_MODEL_CHARS],
        }
        with (
            self._traces.under(new.trace).child("create generation", "server", attributes) as span,
            logs.about(generation=new.id, trace=span.trace_id),
        ):
            return await self._create(replace(new, trace=span.traceparent))

    async def _create(self, new: NewGeneration) -> Creation:
        reservation = await self._admission.reserve(new)
        if reservation in _TENANT_FULL and (await self._reader.metas([new.id]))[0] is None:
            raise self._admission.tenant_full(reservation)
        try:
            reply: CreateReply = await self._eventlog.create(new)
        except LogFull:
            # Refused before its first effect. After any other failure it may exist: the reservation lasts a lease.
            if reservation is Reservation.NEW:
                with suppress(LogUnavailable):
                    await self._queue.leave(new.id, kept_s=0)
            raise
        if reservation is Reservation.NEW and (reply.code in _NOTHING_CREATED or reply.status in CLOSED):
            # A repeated, refused or finished request runs nothing, so it must not count for its tenant.
            await self._queue.leave(new.id, kept_s=0 if reply.code is ReplyCode.GONE else None)
        if reply.code is ReplyCode.CONFLICT:
            raise IdempotencyConflict
        if reply.code is ReplyCode.GONE:
            raise GenerationGone
        is_unreserved = reply.status == Status.RUNNING and reservation is Reservation.NEW
        if reply.status == Status.QUEUED or is_unreserved:
            # A running one whose reservation was lost gets this one; a delivery too many is dropped.
            await self._queue.enqueue(new.id, _FIRST_DELIVERY, lasts_s=new.deadline_s, tenant=new.tenant)
        return Creation(new, reply.status, reply.created_at, is_new=reply.code is ReplyCode.NEW)

    async def _cancel(self, generation_id: str) -> Status:
        reply = await self._eventlog.cancel(generation_id)
        if reply.code is ReplyCode.GONE:
            raise GenerationGone
        status = Status(reply.status)
        if reply.code is ReplyCode.OK:
            self._metrics.ended(status, "")
        with suppress(LogUnavailable):
            await self._queue.leave(generation_id)
        if status is Status.CANCELLED:
            # Also when it was cancelled before: the first hint may be the one that was lost.
            with suppress(LogUnavailable):
                await self._queue.hint(generation_id)
        return status

    async def _cancel_if_possible(self, generation_id: str) -> None:
        with suppress(GenerationGone, LogUnavailable):
            await self._cancel(generation_id)

    async def _delete(self, generation_id: str, meta: Meta) -> None:
        if not meta.is_closed:
            await self._cancel(generation_id)
        reply = await self._eventlog.delete(generation_id, meta.tenant)
        with suppress(LogUnavailable):
            await self._queue.forget(generation_id, meta.tenant)
        if reply is ReplyCode.GONE:
            raise GenerationGone

    async def _viewers(self, generation_id: str) -> int:
        return self._hub.viewers_of(generation_id) + await self._viewer_counts.elsewhere(generation_id)
