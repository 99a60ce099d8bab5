"""Owns the cookie that carries a token for one generation."""

from typing import Final
from urllib.parse import urlsplit

from fastapi import Response
from starlette.requests import HTTPConnection

_PREFIX: Final = "__Host-"
"""Followed by the generation's id, because one browser may have several answers open. Browsers refuse a cookie
with this prefix when another host or plain HTTP tries to set it."""


def set_token_cookie(response: Response, generation_id: str, token: str, *, max_age_s: float) -> None:
    """Scripts cannot read it, and browsers do not send it from another site. It may expire in the browser later
    than the token, because the browser's clock decides that."""
    response.set_cookie(
        _PREFIX + generation_id,
        token,
        max_age=round(max_age_s),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def token_cookie(connection: HTTPConnection, generation_id: str) -> str | None:
    """The token of this generation's cookie. Browsers send cookies with the requests of any page, so only pages
    of this origin may use them."""
    return connection.cookies.get(_PREFIX + generation_id) if is_same_origin(connection) else None


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether the request does not come from another site's page. Clients that are not browsers send no origin."""
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")
