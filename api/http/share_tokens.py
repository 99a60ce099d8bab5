"""Owns handing out tokens for one generation, in an answer or as a cookie.

What a token is, is `capability.py`'s. Here is how long one lasts and how it leaves this server.
"""

from typing import Final

from fastapi import Response

from outlive.api.auth.capability import Capability, Rights, expiry
from outlive.api.http.callers import COOKIE
from outlive.api.schemas import Minted, RightsName
from outlive.api.services import Services
from outlive.shared.errors import BadRequest
from outlive.shared.settings import Settings

_NOBODY_ASKED: Final = "This server asks nobody who he is: whoever has the address may watch, and cancel."


def mint(
    services: Services, generation_id: str, tenant: str, rights: RightsName, expires_s: float | None = None
) -> Minted:
    """A token for what is known to be this tenant's. Raises `BadRequest`."""
    if services.credentials is None:
        raise BadRequest(_NOBODY_ASKED)
    max_s = longest_s(services.settings)
    if expires_s is not None and expires_s > max_s:
        raise BadRequest(f"expires_s is above what this server allows, {max_s:g} s.")
    expires_at = expiry(expires_s or max_s)
    token = services.credentials.mint(Capability(generation_id, tenant, Rights(rights)), expires_at)
    return Minted(token=token, rights=rights, expires_at=expires_at)


def longest_s(settings: Settings) -> float:
    """No generation can be read for longer. Also the default: a token that expires under a viewer makes
    his next reconnect a 401, after which a native EventSource is closed for good."""
    return settings.max_deadline_s + settings.max_retention_s


def as_cookie(answer: Response, generation_id: str, minted: Minted, settings: Settings) -> None:
    """No script can read it, and no other site makes a browser send it. It may expire in the browser later
    than here: the browser's clock decides that."""
    answer.set_cookie(
        COOKIE + generation_id,
        minted["token"],
        max_age=round(longest_s(settings)),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
