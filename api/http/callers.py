"""Owns the answer to: whose request is this, and may it do that?

Asked once per request or connection, never per event. Routes declare what they need: `Tenant` for
everything a tenant may do, `MayView` and `MayCancel` for one generation, where a token for that
generation will do as well. What they get is the tenant's name, and with it alone the generation is
looked for; so what is unknown and what is another's are the same 404.
"""

from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection

from outlive.api.auth import capability
from outlive.api.auth.credentials import Caller
from outlive.api.services import Provided, Services
from outlive.shared.errors import (
    Forbidden,
    GenerationNotFound,
    IssuerUnavailable,
    LogUnavailable,
    Unauthenticated,
)

DEFAULT_TENANT: Final = "default"
"""Whose everything is where nobody is asked."""

COOKIE: Final = "__Host-"
"""Followed by the generation's id: several answers may be open in one browser. The prefix makes browsers
refuse a cookie that another host, or plain HTTP, tries to set."""


async def tenant_of(connection: HTTPConnection, services: Provided) -> str:
    """The tenant, who may do everything with what is his. Raises `Unauthenticated`, and `Forbidden` for a
    token of one generation."""
    caller = await _caller(services, _bearer(connection))
    await _count(connection, services, caller)
    if caller.generation_id is not None:
        raise Forbidden
    return caller.tenant


async def viewer_of(connection: HTTPConnection, services: Services, generation_id: str) -> Caller:
    """Who may watch this generation. Raises `Unauthenticated`, and `GenerationNotFound` for a token of
    another: its holder learns of no other generation."""
    caller = await _caller(services, _bearer(connection) or _token(connection) or _cookie(connection, generation_id))
    if caller.generation_id not in (None, generation_id):
        raise GenerationNotFound
    return caller


async def counted_viewer(connection: HTTPConnection, services: Services, generation_id: str) -> Caller:
    """The same, and one more request of his."""
    caller = await viewer_of(connection, services, generation_id)
    await _count(connection, services, caller)
    return caller


async def may_view(connection: HTTPConnection, services: Provided, generation_id: str) -> str:
    """Whose generation it is if it is one, for whoever may watch it."""
    return (await counted_viewer(connection, services, generation_id)).tenant


async def may_watch(connection: HTTPConnection, services: Provided, generation_id: str) -> str | None:
    """The same; None when it cannot be known now. For streams, whose viewers must come again instead
    of being refused; nor does opening one count as a request, because a thousand may come at once."""
    try:
        return (await viewer_of(connection, services, generation_id)).tenant
    except (LogUnavailable, IssuerUnavailable):
        return None


async def may_cancel(connection: HTTPConnection, services: Provided, generation_id: str) -> str:
    """Whose generation it is, for whoever may stop it. Raises also `Forbidden`."""
    caller = await counted_viewer(connection, services, generation_id)
    if not caller.may_cancel:
        raise Forbidden
    return caller.tenant


Tenant = Annotated[str, Depends(tenant_of)]
MayView = Annotated[str, Depends(may_view)]
MayWatch = Annotated[str | None, Depends(may_watch)]
MayCancel = Annotated[str, Depends(may_cancel)]


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether it is not another site's page that asks. Who is no browser says no origin."""
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


async def _caller(services: Services, credential: str | None) -> Caller:
    if services.credentials is None:
        return Caller(DEFAULT_TENANT)
    if credential is None:
        raise Unauthenticated
    return await services.credentials.caller(credential)


async def _count(connection: HTTPConnection, services: Services, caller: Caller) -> None:
    """Those who hold a link use up what is the link's, not what is the tenant's."""
    connection.state.limits = await services.admission.request(caller.generation_id or caller.tenant)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def _token(connection: HTTPConnection) -> str | None:
    """EventSource sends no headers. Only tokens for one generation may stand in a URL: histories and
    logs of others keep URLs, and an API key in one would be lost there."""
    token = connection.query_params.get("token")
    return token if token is not None and token.startswith(capability.PREFIX) else None


def _cookie(connection: HTTPConnection, generation_id: str) -> str | None:
    """Browsers send cookies whoever's page asks."""
    return connection.cookies.get(COOKIE + generation_id) if is_same_origin(connection) else None
