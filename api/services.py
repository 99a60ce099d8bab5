"""Owns the list of long-lived things a route may use, and how it gets at them.

Built once, in `app.py`.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.admission import Admission
from api.credentials import Credentials
from api.crowd import Crowd
from api.hub import Hub
from api.looks import Looks
from api.measures import ApiMeasures
from api.probe import Probe
from api.tasks import Tasks
from shared.eventlog import EventLog
from shared.listing import Listing
from shared.logreader import LogReader
from shared.plane import Planes
from shared.presence import Presence
from shared.queue import Queue
from shared.settings import Settings
from shared.traces import Traces


@dataclass(frozen=True, slots=True)
class Services:
    """One of each per process."""

    settings: Settings
    credentials: Credentials | None
    admission: Admission
    planes: Planes
    eventlog: EventLog
    reader: LogReader
    looks: Looks
    listing: Listing
    presence: Presence
    queue: Queue
    hub: Hub
    crowd: Crowd
    measures: ApiMeasures
    probe: Probe
    tasks: Tasks
    traces: Traces


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)


async def _provided(connection: HTTPConnection) -> Services:
    # A coroutine function although it waits for nothing: FastAPI calls any other in a thread.
    return services_of(connection)


Provided = Annotated[Services, Depends(_provided)]
