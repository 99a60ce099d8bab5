"""Owns ending a generation because somebody asked for it: cancel and delete, from any wire.

Whoever calls these lets them run to their end even if the asker leaves (`Tasks.finish`).
"""

from contextlib import suppress

from outlive.api.services import Services
from outlive.shared.errors import GenerationGone, LogUnavailable
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.generation import Meta, Status


async def cancel(services: Services, generation_id: str) -> Status:
    """How it ended, now or before. Raises `GenerationGone`, `LogUnavailable`."""
    reply = await services.eventlog.cancel(generation_id)
    if reply.code is ReplyCode.GONE:
        raise GenerationGone
    status = Status(reply.status)
    if reply.code is ReplyCode.OK:
        services.measures.ended(status, "")
    with suppress(LogUnavailable):
        await services.queue.leave(generation_id)
    if status is Status.CANCELLED:
        # Also when it was cancelled before: the first hint may be the one that got lost.
        with suppress(LogUnavailable):
            await services.queue.hint(generation_id)
    return status


async def delete(services: Services, generation_id: str, tenant: str, meta: Meta) -> None:
    """Forget it. Raises `GenerationGone`, `LogUnavailable`."""
    if not meta.is_closed:
        await cancel(services, generation_id)
    if await services.eventlog.delete(generation_id, tenant) is ReplyCode.GONE:
        raise GenerationGone
