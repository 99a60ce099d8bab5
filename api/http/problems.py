"""Owns the response to every error: one status per exception, one shape.

Every error is `application/problem+json` (RFC 9457) with a stable `code`. Knows no route. An exception that
is not in the table is a bug of Outlive: it gets 500, and its text stays in the log.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from outlive.api.http.json_bodies import Json
from outlive.api.http.ratelimit_headers import ratelimit_headers_of
from outlive.api.schemas import Problem, sentences
from outlive.api.services import services_of
from outlive.shared.errors import (
    AtCapacity,
    BadRequest,
    BodiesFull,
    Forbidden,
    GenerationGone,
    GenerationNotFound,
    IdempotencyConflict,
    IssuerUnavailable,
    LimitReached,
    LogFull,
    LogUnavailable,
    MalformedCursor,
    ModelNotFound,
    OutliveError,
    PayloadTooLarge,
    ProcessFull,
    TooManyGenerations,
    TooManyRequests,
    TooManyViewers,
    TooMuchStored,
    Unauthenticated,
)

_STATUS: Final[dict[type[OutliveError], int]] = {
    BadRequest: 400,
    MalformedCursor: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    GenerationNotFound: 404,
    ModelNotFound: 404,
    IdempotencyConflict: 409,
    GenerationGone: 410,
    PayloadTooLarge: 413,
    TooManyRequests: 429,
    TooManyGenerations: 429,
    TooMuchStored: 429,
    TooManyViewers: 429,
    ProcessFull: 503,
    BodiesFull: 503,
    IssuerUnavailable: 503,
    AtCapacity: 503,
    LogUnavailable: 503,
    LogFull: 503,
}

_HEADERS: Final[dict[int, dict[str, str]]] = {401: {"WWW-Authenticate": "Bearer"}}

_INTERNAL: Final = "Outlive has a bug that this request ran into. The server's log has the details."

_RETRY_AFTER_S: Final = 1
"""A restarting Redis is back in about this time."""
_RETRY_AFTER_FULL_S: Final = 30
"""When Redis or the queue is full, somebody has to act."""


class ProblemResponse(Json):
    """One problem. The title is the status' phrase, as RFC 9457 demands for `about:blank`."""

    media_type = "application/problem+json"

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        problem = Problem(type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, code=code)
        super().__init__(problem, status_code=status, headers=dict(headers or {}))
        self.code = code


def unavailable(code: str, detail: str, *, retry_after_s: int = _RETRY_AFTER_S) -> ProblemResponse:
    """503, with the time after which a retry makes sense."""
    return ProblemResponse(503, code, detail, {"Retry-After": str(retry_after_s)})


def problem_of(error: Exception) -> ProblemResponse:
    """The response to one exception."""
    if isinstance(error, OutliveError):
        status = _STATUS.get(type(error), 500)
        if isinstance(error, LimitReached):
            return ProblemResponse(status, error.code, error.message, error.headers)
        if status == 503:
            after_s = _RETRY_AFTER_FULL_S if isinstance(error, LogFull | AtCapacity) else _RETRY_AFTER_S
            return unavailable(error.code, error.message, retry_after_s=after_s)
        if status != 500:
            return ProblemResponse(status, error.code, error.message, _HEADERS.get(status))
    if isinstance(error, RequestValidationError):
        return ProblemResponse(400, BadRequest.code, sentences(error.errors()))
    if isinstance(error, HTTPException):
        return ProblemResponse(error.status_code, _code_of(error.status_code), error.detail, error.headers)
    return ProblemResponse(500, OutliveError.code, _INTERNAL)


def refusal(request: Request, error: Exception) -> ProblemResponse:
    """The response to one exception of this request; it is counted in the metrics."""
    problem = problem_of(error)
    problem.headers.update(ratelimit_headers_of(request))
    if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers["Allow"] = ", ".join(sorted(_methods_of(request)))
    services_of(request).metrics.refused(problem.code)
    return problem


def install(app: FastAPI) -> None:
    """Give every exception its response."""

    async def respond(request: Request, error: Exception) -> Response:
        return refusal(request, error)

    for kind in (OutliveError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)


def _methods_of(request: Request) -> set[str]:
    """The methods of all routes with this path. Starlette names those of the first route only."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return methods


def _code_of(status: int) -> str:
    return HTTPStatus(status).name.lower()
