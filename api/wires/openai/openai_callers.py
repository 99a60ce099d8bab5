"""Owns who may call a route of OpenAI's wires that is about one answer: its tenant, or whoever holds a
token for it. Asked before the name is looked at, as everywhere.
"""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from outlive.api.auth.credentials import Caller
from outlive.api.http.callers import counted_viewer, viewer_of
from outlive.api.services import Provided
from outlive.api.wires.openai.openai_ids import plain
from outlive.shared.errors import Forbidden


async def may_view(connection: HTTPConnection, services: Provided, name: str) -> Caller:
    """For whoever may watch it. Raises `Unauthenticated`, `GenerationNotFound`."""
    return await counted_viewer(connection, services, plain(name))


async def may_watch(connection: HTTPConnection, services: Provided, name: str) -> Caller:
    """The same, for a stream: to open one is no request, because a thousand may come at once."""
    return await viewer_of(connection, services, plain(name))


async def may_retrieve(
    connection: HTTPConnection, services: Provided, name: str, stream: Annotated[bool, Query()] = False
) -> Caller:
    """Where one path gives both."""
    return await (may_watch if stream else may_view)(connection, services, name)


async def may_cancel(connection: HTTPConnection, services: Provided, name: str) -> Caller:
    """For whoever may stop it. Raises also `Forbidden`."""
    caller = await may_view(connection, services, name)
    if not caller.may_cancel:
        raise Forbidden
    return caller


MayView = Annotated[Caller, Depends(may_view)]
MayWatch = Annotated[Caller, Depends(may_watch)]
MayRetrieve = Annotated[Caller, Depends(may_retrieve)]
MayCancel = Annotated[Caller, Depends(may_cancel)]
