"""The API's composition root: builds every long-lived object of one process, once, and closes it.

Decides nothing. The app also starts while Redis is away, and says so at `/readyz`.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from outlive.api.auth.authenticator import Authenticator
from outlive.api.auth.credentials import Credentials
from outlive.api.auth.share_tokens import ShareTokens, max_expires_s
from outlive.api.fanout.hub import Hub
from outlive.api.fanout.latency_probe import LatencyProbe
from outlive.api.fanout.meta_lookup import SingleFlightMeta
from outlive.api.fanout.report_viewers import ViewerReporter
from outlive.api.generations.generations import Generations
from outlive.api.generations.watch import Watch
from outlive.api.http import openapi, operation, problems, routes, web_page, websocket
from outlive.api.http.body_limit import BodiesInFlight, BodyLimit
from outlive.api.limits.admission import Admission
from outlive.api.limits.client_address import networks
from outlive.api.limits.viewer_limits import ViewerLimits
from outlive.api.metrics import ApiMetrics
from outlive.api.services import Services
from outlive.api.tasks import Tasks
from outlive.api.wires.registry import ROUTERS
from outlive.shared.log.eventlog import EventLog, LogLimits
from outlive.shared.log.listing import Listing
from outlive.shared.log.probe import ProbeLog
from outlive.shared.log.reader import LogReader
from outlive.shared.log.sweep import Sweep
from outlive.shared.log.viewer_counts import ViewerCounts
from outlive.shared.queue.queue import Queue
from outlive.shared.queue.quota import Quota
from outlive.shared.settings import Settings, load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.memory_headroom import MemoryHeadroom
from outlive.shared.store.plane import Planes
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import traces_of


def create_app(settings: Settings) -> FastAPI:
    """The whole API, ready to be served."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        process = _Process(settings)
        app.state.services = process.services
        process.start()
        try:
            # As lifespan state the server gets the hub, to drain it before it closes anything.
            yield {"hub": process.services.hub}
        finally:
            await process.close()

    app = FastAPI(
        title="Outlive",
        description="LLM answers that outlive the connection that asked for them.",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        # An unknown path is 404, never a redirect built from the Host header.
        redirect_slashes=False,
        # Durations of streams say nothing, and measuring them would wrap every `send`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    in_flight = BodiesInFlight(settings.bodies_in_flight_bytes)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, in_flight=in_flight)
    if settings.origins:
        # Outermost, so that refusals carry its headers too. Without cookies, which belong to this site only.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Location", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    for router in (routes.router, operation.router, websocket.router):
        app.include_router(router)
    for wire_router in ROUTERS:
        app.include_router(wire_router)
    web_page.install(app)
    problems.install(app)
    max_s = {"deadline_s": settings.max_deadline_s, "retention_s": settings.max_retention_s}
    openapi.install(app, auth=settings.auth, max_s=max_s | {"expires_s": max_expires_s(settings)})
    return app


def app_from_environ() -> FastAPI:
    """For uvicorn, which builds one app in each of its processes. Raises `SettingsError`."""
    settings = load(os.environ)
    logs.configure("api", settings.log_format)
    return create_app(settings)


class _Process:
    """The long-lived objects of one process, and its background tasks."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError`."""
        keys = Keys(settings.key_prefix)
        planes = Planes(settings)
        redis = planes.log.client
        reader = LogReader(redis, keys)
        metrics = ApiMetrics()
        hub = Hub(settings, reader, planes.log, metrics)
        queue = Queue(planes.queue, keys, expiry_s=settings.delivery_expiry_s)
        eventlog = EventLog(redis, keys, LogLimits.of(settings))
        viewer_counts = ViewerCounts(redis, keys)
        credentials = Credentials.of(settings, planes.queue, keys)
        admission = Admission(
            settings,
            Quota(
                planes.queue,
                keys,
                hold_s=settings.lease_s,
                max_deadline_s=settings.max_deadline_s,
                max_retention_s=settings.max_retention_s,
            ),
            MemoryHeadroom(planes.servers, share=settings.memory_share, monotonic=time.monotonic).has,
            clock=time.monotonic,
        )
        viewer_limits = ViewerLimits(
            per_process=settings.viewers,
            per_generation=settings.viewers_per_generation,
            per_address=settings.viewers_per_address,
        )
        self._tasks = Tasks()
        self._traces = traces_of("api", recorded=settings.traces)
        self._probe = LatencyProbe(ProbeLog(redis, keys), hub, metrics.probed)
        self._viewer_report = ViewerReporter(viewer_counts, hub.counts)
        self._sweep = Sweep(eventlog, queue, metrics, lease_s=settings.lease_s)
        generations = Generations(
            eventlog=eventlog,
            reader=reader,
            listing=Listing(redis, keys),
            queue=queue,
            admission=admission,
            hub=hub,
            viewer_counts=viewer_counts,
            metrics=metrics,
            traces=self._traces,
            tasks=self._tasks,
        )
        self.services = Services(
            settings=settings,
            authenticator=Authenticator(credentials, admission),
            share_tokens=ShareTokens(credentials, settings),
            generations=generations,
            watch=Watch(hub, viewer_limits, SingleFlightMeta(reader).meta, generations.create),
            hub=hub,
            planes=planes,
            queue=queue,
            metrics=metrics,
            proxies=networks(settings.proxies),
        )

    def start(self) -> None:
        """Start the background tasks."""
        hub, metrics = self.services.hub, self.services.metrics
        self._tasks.start(hub.run(), name="hub")
        self._tasks.start(metrics.run(hub.watched), name="metrics")
        self._tasks.start(self._probe.run(), name="probe")
        self._tasks.start(self._viewer_report.run(), name="viewer counts")
        self._tasks.start(self._sweep.run(), name="sweep")

    async def close(self) -> None:
        await self._tasks.close()
        await self.services.planes.aclose()
        self._traces.close()
