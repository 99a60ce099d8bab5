"""Owns how routes get the long-lived objects they need: each names its own by a type such as `GenerationsDep`.

`Services` is only where `app.py` puts them, once per process; routes do not take it as a whole.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from outlive.api.auth.authenticator import Authenticator
from outlive.api.auth.share_tokens import ShareTokens
from outlive.api.fanout.hub import Hub
from outlive.api.generations.generations import Generations
from outlive.api.generations.watch import Watch
from outlive.api.limits.client_address import Networks, client_address
from outlive.api.metrics import ApiMetrics
from outlive.shared.queue.queue import Queue
from outlive.shared.settings import Settings
from outlive.shared.store.plane import Planes


@dataclass(frozen=True, slots=True)
class Services:
    """One of each per process."""

    settings: Settings
    authenticator: Authenticator
    share_tokens: ShareTokens
    generations: Generations
    watch: Watch
    hub: Hub
    planes: Planes
    queue: Queue
    metrics: ApiMetrics
    proxies: Networks


def services_of(connection: HTTPConnection) -> Services:
    """For code that FastAPI does not call: exception handlers."""
    return cast(Services, connection.app.state.services)


# Coroutine functions although they wait for nothing: FastAPI calls other functions in a thread.


async def _settings(connection: HTTPConnection) -> Settings:
    return services_of(connection).settings


async def _authenticator(connection: HTTPConnection) -> Authenticator:
    return services_of(connection).authenticator


async def _share_tokens(connection: HTTPConnection) -> ShareTokens:
    return services_of(connection).share_tokens


async def _generations(connection: HTTPConnection) -> Generations:
    return services_of(connection).generations


async def _watch(connection: HTTPConnection) -> Watch:
    return services_of(connection).watch


async def _hub(connection: HTTPConnection) -> Hub:
    return services_of(connection).hub


async def _planes(connection: HTTPConnection) -> Planes:
    return services_of(connection).planes


async def _queue(connection: HTTPConnection) -> Queue:
    return services_of(connection).queue


async def _metrics(connection: HTTPConnection) -> ApiMetrics:
    return services_of(connection).metrics


async def _client_address(connection: HTTPConnection) -> str:
    peer = connection.client.host if connection.client else ""
    forwarded_for = connection.headers.getlist("x-forwarded-for")
    return client_address(peer, forwarded_for, services_of(connection).proxies)


SettingsDep = Annotated[Settings, Depends(_settings)]
AuthenticatorDep = Annotated[Authenticator, Depends(_authenticator)]
ShareTokensDep = Annotated[ShareTokens, Depends(_share_tokens)]
GenerationsDep = Annotated[Generations, Depends(_generations)]
WatchDep = Annotated[Watch, Depends(_watch)]
HubDep = Annotated[Hub, Depends(_hub)]
PlanesDep = Annotated[Planes, Depends(_planes)]
QueueDep = Annotated[Queue, Depends(_queue)]
MetricsDep = Annotated[ApiMetrics, Depends(_metrics)]
ClientAddress = Annotated[str, Depends(_client_address)]
"""What viewers are counted by; see `limits/client_address.py`."""
