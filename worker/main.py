"""The worker's composition root: builds everything, runs it, drains it. Decides nothing else."""

import asyncio
import logging
import random
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from redis.asyncio import Redis

from outlive.shared.errors import LogUnavailable
from outlive.shared.log.eventlog import EventLog, LogLimits
from outlive.shared.log.reader import LogReader
from outlive.shared.log.sweep import Sweep
from outlive.shared.queue.queue import Queue
from outlive.shared.runtime.gc_tuning import tune_gc
from outlive.shared.settings import Settings
from outlive.shared.store.connect import connect_blocking, pool
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import Planes
from outlive.shared.store.replicas import Replicas
from outlive.shared.store.requirements import require_channels, require_fit
from outlive.shared.telemetry.traces import traces_of
from outlive.worker.arqworker import ArqWorker
from outlive.worker.attempt.model import Model
from outlive.worker.health import serving
from outlive.worker.job import Job
from outlive.worker.metrics import WorkerMetrics
from outlive.worker.publishing.outbox import OutboxLimits
from outlive.worker.publishing.publisher import Publisher
from outlive.worker.publishing.replication_hold import ReplicationHold
from outlive.worker.tools.tool_modules import load_tools
from outlive.worker.tools.tool_threads import ToolThreads
from outlive.worker.tools.toolbox import Toolbox, ToolLimits
from outlive.worker.upstream.upstream_clients import Upstreams

log = logging.getLogger(__name__)

_HAND_OVER_S: Final = 5.0
_RETRY_S: Final = 0.5
_PING_S: Final = 1.0


async def run(settings: Settings, environ: Mapping[str, str]) -> None:
    """Work until SIGTERM or SIGINT, then drain; `environ` may hold upstreams' keys. Raises `SettingsError` and
    `UnfitRedis` before any work."""
    tools = load_tools(settings.tools)
    upstreams = Upstreams.connect(settings, environ)
    traces = traces_of("worker", recorded=settings.traces)
    keys = Keys(settings.key_prefix)
    planes = Planes(settings)
    waking, hinting = (connect_blocking(settings.redis_url) for _ in range(2))
    replicas = Replicas(planes.log, keys)
    eventlog = EventLog(planes.log.client, keys, LogLimits.of(settings))
    queue = Queue(planes.queue, keys, expiry_s=settings.delivery_expiry_s)
    metrics = WorkerMetrics(slots=settings.slots)
    publisher = Publisher(
        eventlog,
        OutboxLimits(settings.unflushed_events, settings.max_event_bytes, settings.max_output_bytes),
        metrics,
        time.monotonic,
        lease_s=settings.lease_s,
        full_s=settings.full_s,
    )
    hold = ReplicationHold(replicas, publisher, time.monotonic, limit=settings.slots)
    model = Model(upstreams.for_request, metrics, asyncio.get_running_loop())
    tool_limits = ToolLimits(settings.tool_timeout_s, settings.tool_result_bytes, settings.tool_rounds)
    toolbox = Toolbox(tools, ToolThreads(settings.tool_threads), tool_limits, time.monotonic)
    reader = LogReader(planes.log.client, keys)
    job = Job(eventlog, reader, queue, publisher, hold, model, toolbox, metrics, traces)
    worker = ArqWorker(
        queue,
        pool(settings.redis_url),
        waking,
        job.deliver,
        metrics.claimed,
        slots=settings.slots,
        job_timeout_s=settings.delivery_expiry_s + settings.drain_s,
        may_claim=lambda: not publisher.is_in_grace,
    )
    metrics.read_running(lambda: worker.job_counter)
    stop = _stop_signal()

    async def is_ready() -> bool:
        return not stop.is_set() and await _reply(planes)

    try:
        async with serving(settings.worker_port, is_ready, metrics.exposition):
            if await _until_fit(planes, keys.probe("start"), stop):
                publisher.begin_grace()
            async with asyncio.TaskGroup() as tasks:
                services = [
                    tasks.create_task(publisher.run(), name="publisher"),
                    tasks.create_task(hold.run(), name="hold"),
                    tasks.create_task(Sweep(eventlog, queue, metrics, lease_s=settings.lease_s).run(), name="sweep"),
                    tasks.create_task(_follow_hints(queue, hinting, publisher), name="hints"),
                ]
                claiming = tasks.create_task(worker.claim_for_ever(), name="claim")
                tune_gc()
                log.info("worker ready, %d slots, %d tools", settings.slots, len(tools))
                await stop.wait()
                worker.stop_claiming()
                await claiming
                await _drain(worker, job, hold, settings.drain_s)
                for task in services:
                    task.cancel()
    finally:
        for mine in (upstreams, planes, replicas):
            await mine.aclose()
        for each in (waking, hinting, worker.pool):
            # arq's client does not close a pool that it was given.
            await each.aclose(close_connection_pool=True)
        traces.close()


async def _until_fit(planes: Planes, channel: str, stop: asyncio.Event) -> bool:
    """Wait until Redis replies, or `stop`; `channel` is a log.s. Returns whether it waited."""
    waited = False
    while not stop.is_set():
        try:
            await require_fit(await planes.servers())
            await require_channels(await planes.log.servers(), channel, subscribe=False)
            break
        except LogUnavailable:
            waited = True
            log.warning("redis does not reply yet")
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S * random.uniform(1, 2)):
                    await stop.wait()
    return waited


async def _reply(planes: Planes) -> bool:
    try:
        async with asyncio.timeout(_PING_S):
            await planes.ping()
    except (LogUnavailable, TimeoutError):
        return False
    return True


async def _drain(worker: ArqWorker, job: Job, hold: ReplicationHold, drain_s: float) -> None:
    log.info("draining, %d generations have %.0f s", len(worker.tasks), drain_s)
    finishing = asyncio.create_task(_finish(worker, hold))
    await asyncio.wait({finishing}, timeout=drain_s)
    job.draining.set()
    # If Redis is away, the worker must not wait for it: then the leases run out instead.
    await asyncio.wait({finishing}, timeout=_HAND_OVER_S)
    finishing.cancel()


async def _finish(worker: ArqWorker, hold: ReplicationHold) -> None:
    await worker.finish_jobs()
    await hold.wait_until_empty()


async def _follow_hints(queue: Queue, blocking: Redis, publisher: Publisher) -> None:
    while True:
        try:
            async for generation_id in queue.hints(blocking):
                await publisher.check(generation_id)
        except LogUnavailable:
            # Only time is lost: the next append or renewal learns the same.
            await asyncio.sleep(_RETRY_S * random.uniform(1, 2))


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
