"""Owns the route class that adds the `RateLimit` headers to every response.

It adds them to the finished response and does not wrap `send`, so a stream of events pays nothing for it.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection


class RateLimitedRoute(APIRoute):
    """The `route_class` of all routers whose requests are counted."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there
        handle = super().get_route_handler()

        async def handle_and_add_headers(request: Request) -> Response:
            response = await handle(request)
            response.headers.update(ratelimit_headers_of(request))
            return response

        return handle_and_add_headers


def ratelimit_headers_of(connection: HTTPConnection) -> dict[str, str]:
    """The headers that `callers.py` left for this request; empty if it was not counted."""
    return cast(dict[str, str], getattr(connection.state, "ratelimit_headers", {}))
