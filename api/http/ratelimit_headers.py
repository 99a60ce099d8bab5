"""Owns the route that tells what is left of a caller's limit, on answers of every kind.

On the finished response, not around `send`: a stream of events pays nothing for it.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection


class LimitedRoute(APIRoute):
    """To be a router's `route_class`."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine function is one
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            answer = await handle(request)
            answer.headers.update(limits_told(request))
            return answer

        return limited


def limits_told(connection: HTTPConnection) -> dict[str, str]:
    """The headers `callers.py` has left there; none where nothing was counted."""
    return cast(dict[str, str], getattr(connection.state, "limits", {}))
