"""Owns finding the credential in a request, and which callers a route accepts.

A route declares what it needs: `Tenant` for everything a tenant may do, `MayView` and `MayCancel` for one
generation, where a token for that generation is enough. A route gets the tenant's name and looks for the
generation under that name alone, so an unknown generation and another tenant's are the same 404.
"""

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from outlive.api.auth import capability
from outlive.api.auth.authenticator import Authenticator
from outlive.api.auth.credentials import Caller
from outlive.api.http.token_cookie import token_cookie
from outlive.api.services import AuthenticatorDep
from outlive.shared.errors import Forbidden, GenerationNotFound


async def tenant_of(connection: HTTPConnection, authenticator: AuthenticatorDep) -> str:
    """The tenant, for routes that a token for one generation does not open. Raises `Unauthenticated`,
    `Forbidden` and `TooManyRequests`."""
    caller = await authenticator.identify(_bearer(connection))
    await _count(connection, authenticator, caller)
    if caller.generation_id is not None:
        raise Forbidden
    return caller.tenant


async def viewer_of(connection: HTTPConnection, authenticator: Authenticator, generation_id: str) -> Caller:
    """A caller that may watch this generation if its tenant owns it. Opening a stream does not count as a
    request, because a thousand viewers may come at once. Raises `Unauthenticated`, and `GenerationNotFound`
    for a token of another generation."""
    credential = _bearer(connection) or _query_token(connection) or token_cookie(connection, generation_id)
    caller = await authenticator.identify(credential)
    if caller.generation_id not in (None, generation_id):
        raise GenerationNotFound
    return caller


async def counted_viewer(connection: HTTPConnection, authenticator: Authenticator, generation_id: str) -> Caller:
    """The same, counted as a request. Raises also `TooManyRequests`."""
    caller = await viewer_of(connection, authenticator, generation_id)
    await _count(connection, authenticator, caller)
    return caller


async def may_view(connection: HTTPConnection, authenticator: AuthenticatorDep, generation_id: str) -> str:
    """The tenant under which a caller may read this generation."""
    return (await counted_viewer(connection, authenticator, generation_id)).tenant


async def may_cancel(connection: HTTPConnection, authenticator: AuthenticatorDep, generation_id: str) -> str:
    """The tenant under which a caller may stop this generation. Raises also `Forbidden`."""
    caller = await counted_viewer(connection, authenticator, generation_id)
    if not caller.may_cancel:
        raise Forbidden
    return caller.tenant


Tenant = Annotated[str, Depends(tenant_of)]
MayView = Annotated[str, Depends(may_view)]
MayCancel = Annotated[str, Depends(may_cancel)]


async def _count(connection: HTTPConnection, authenticator: Authenticator, caller: Caller) -> None:
    connection.state.ratelimit_headers = await authenticator.count_request(caller)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def _query_token(connection: HTTPConnection) -> str | None:
    """EventSource sends no headers, so a token for one generation may be in the URL. An API key may not: browser
    histories and other servers' logs keep URLs."""
    token = connection.query_params.get("token")
    return token if token is not None and token.startswith(capability.PREFIX) else None
