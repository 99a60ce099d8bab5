"""The API's composition root: builds every long-lived thing, once, and closes it. Decides nothing.

One app is one process's worth. It starts also while Redis is away, and says so at `/readyz`.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from outlive.api.auth.credentials import Credentials
from outlive.api.fanout.hub import Hub
from outlive.api.fanout.latency_probe import LatencyProbe
from outlive.api.fanout.meta_lookup import SingleFlightMeta
from outlive.api.fanout.report_viewers import ViewerReporter
from outlive.api.http import openapi, problems, web_page
from outlive.api.http.body_limit import BodyLimit
from outlive.api.http.routes import router
from outlive.api.http.share_tokens import longest_s
from outlive.api.http.websocket import router as socket_router
from outlive.api.limits.admission import Admission
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
        services = _build(settings)
        app.state.services = services
        services.tasks.start(services.hub.run(), name="hub")
        services.tasks.start(services.measures.run(services.hub.watched), name="measures")
        services.tasks.start(services.probe.run(), name="probe")
        services.tasks.start(ViewerReporter(services.presence, services.hub.counts).run(), name="presence")
        sweep = Sweep(services.eventlog, services.queue, services.measures, lease_s=settings.lease_s)
        services.tasks.start(sweep.run(), name="sweep")
        try:
            # Handed to the server as lifespan state: it drains the hub before it closes anything.
            yield {"hub": services.hub}
        finally:
            await services.tasks.close()
            await services.planes.aclose()
            services.traces.close()

    app = FastAPI(
        title="Outlive",
        description="LLM answers that outlive the connection that asked for them.",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        # To a path that is not ours the answer is 404, not a redirect built from the Host header.
        redirect_slashes=False,
        # Spans and durations of streams mean nothing, and measuring them wraps every send.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    if settings.origins:
        # Outermost, so that refusals carry its headers too. No cookies: they keep to this site anyway.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Location", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    app.include_router(router)
    app.include_router(socket_router)
    for wire_router in ROUTERS:
        app.include_router(wire_router)
    web_page.install(app)
    problems.install(app)
    max_s = {"deadline_s": settings.max_deadline_s, "retention_s": settings.max_retention_s}
    openapi.install(app, auth=settings.auth, max_s=max_s | {"expires_s": longest_s(settings)})
    return app


def app_from_environ() -> FastAPI:
    """For uvicorn, which builds the app anew in each of its processes. Raises `SettingsError`."""
    settings = load(os.environ)
    logs.configure("api", settings.log_format)
    return create_app(settings)


def _build(settings: Settings) -> Services:
    keys = Keys(settings.key_prefix)
    planes = Planes(settings)
    redis = planes.log.client
    reader = LogReader(redis, keys)
    measures = ApiMetrics()
    hub = Hub(settings, reader, planes.log, measures)
    return Services(
        settings=settings,
        credentials=Credentials.of(settings, planes.queue, keys),
        admission=Admission(
            settings,
            Quota(planes.queue, keys, expiry_s=settings.max_deadline_s),
            MemoryHeadroom(planes.servers, share=settings.memory_share, monotonic=time.monotonic),
        ),
        planes=planes,
        eventlog=EventLog(redis, keys, LogLimits.of(settings)),
        reader=reader,
        looks=SingleFlightMeta(reader),
        listing=Listing(redis, keys),
        presence=ViewerCounts(redis, keys),
        queue=Queue(planes.queue, keys, expiry_s=settings.delivery_expiry_s),
        hub=hub,
        crowd=ViewerLimits(settings, hub),
        measures=measures,
        probe=LatencyProbe(ProbeLog(redis, keys), hub, measures.probed),
        tasks=Tasks(),
        traces=traces_of("api", recorded=settings.traces),
    )
