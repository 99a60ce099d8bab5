"""Owns the list of long-lived things a route may use, and how it gets at them.

Built once, in `app.py`.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from outlive.api.auth.credentials import Credentials
from outlive.api.fanout.hub import Hub
from outlive.api.fanout.latency_probe import LatencyProbe
from outlive.api.fanout.meta_lookup import SingleFlightMeta
from outlive.api.limits.admission import Admission
from outlive.api.limits.viewer_limits import ViewerLimits
from outlive.api.metrics import ApiMetrics
from outlive.api.tasks import Tasks
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.listing import Listing
from outlive.shared.log.reader import LogReader
from outlive.shared.log.viewer_counts import ViewerCounts
from outlive.shared.queue.queue import Queue
from outlive.shared.settings import Settings
from outlive.shared.store.plane import Planes
from outlive.shared.telemetry.traces import Traces


@dataclass(frozen=True, slots=True)
class Services:
    """One of each per process."""

    settings: Settings
    credentials: Credentials | None
    admission: Admission
    planes: Planes
    eventlog: EventLog
    reader: LogReader
    looks: SingleFlightMeta
    listing: Listing
    presence: ViewerCounts
    queue: Queue
    hub: Hub
    crowd: ViewerLimits
    measures: ApiMetrics
    probe: LatencyProbe
    tasks: Tasks
    traces: Traces


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)


async def _provided(connection: HTTPConnection) -> Services:
    # A coroutine function although it waits for nothing: FastAPI calls any other in a thread.
    return services_of(connection)


Provided = Annotated[Services, Depends(_provided)]
