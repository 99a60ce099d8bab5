"""Owns which callers a route for one answer accepts on OpenAI's wires: its tenant, and holders of its token.

Checked before the name of the answer is looked at, as on the native routes.
"""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from outlive.api.auth.credentials import Caller
from outlive.api.http.callers import counted_viewer, viewer_of
from outlive.api.services import AuthenticatorDep
from outlive.api.wires.openai.openai_ids import plain
from outlive.shared.errors import Forbidden


async def may_view(connection: HTTPConnection, authenticator: AuthenticatorDep, name: str) -> Caller:
    """A caller that may read this answer; counted as a request. Raises `Unauthenticated`, `GenerationNotFound`
    and `TooManyRequests`."""
    return await counted_viewer(connection, authenticator, plain(name))


async def may_watch(connection: HTTPConnection, authenticator: AuthenticatorDep, name: str) -> Caller:
    """The same for a stream, which does not count as a request because a thousand viewers may come at once."""
    return await viewer_of(connection, authenticator, plain(name))


async def may_retrieve(
    connection: HTTPConnection, authenticator: AuthenticatorDep, name: str, stream: Annotated[bool, Query()] = False
) -> Caller:
    """For the path that serves both."""
    return await (may_watch if stream else may_view)(connection, authenticator, name)


async def may_cancel(connection: HTTPConnection, authenticator: AuthenticatorDep, name: str) -> Caller:
    """A caller that may stop this answer. Raises also `Forbidden`."""
    caller = await may_view(connection, authenticator, name)
    if not caller.may_cancel:
        raise Forbidden
    return caller


MayView = Annotated[Caller, Depends(may_view)]
MayWatch = Annotated[Caller, Depends(may_watch)]
MayRetrieve = Annotated[Caller, Depends(may_retrieve)]
MayCancel = Annotated[Caller, Depends(may_cancel)]
