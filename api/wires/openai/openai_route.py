"""Owns how routes of OpenAI's wires refuse: in OpenAI's shape.

Status, code and headers are those that `api/http/problems.py` gives the same exception on other routes.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from outlive.api.http.json_bodies import Json
from outlive.api.http.problems import refusal
from outlive.api.http.ratelimit_headers import RateLimitedRoute, ratelimit_headers_of
from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_errors import Failure
from outlive.api.wires.openai.openai_ids import headers_of
from outlive.shared.errors import BadRequest, OutliveError
from outlive.shared.model.codec import decode_json

_NO_RETRY: Final = {"X-Should-Retry": "false"}
"""Both SDKs obey it. Without it they would ask twice more for an answer that was created and failed."""


class OpenAiRoute(RateLimitedRoute):
    """The `route_class` of OpenAI's wires."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there
        handle = super().get_route_handler()

        async def handle_or_refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except (OutliveError, RequestValidationError, HTTPException) as error:
                return _refusal(request, error)

        return handle_or_refuse


class AnswerNotComplete(HTTPException):
    """The answer that a client waited for exists, but it is not complete."""

    def __init__(self, generation_id: str, body: Failure, status: int) -> None:
        super().__init__(status, body["error"]["message"], headers=_NO_RETRY | headers_of(generation_id))
        self.body = body


def failed(generation_id: str, terminal: Mapping[str, Any]) -> AnswerNotComplete:
    """The answer failed, for the reason in its `failed` event."""
    return AnswerNotComplete(generation_id, openai_errors.failed(terminal), openai_errors.status_of(terminal["code"]))


def unfinished(generation_id: str) -> AnswerNotComplete:
    """The answer goes on, but this process cannot wait for it any longer: it drains, or Redis is away."""
    body = openai_errors.failure(
        503,
        "resume",
        "The answer is not complete yet. Retrieve it later by the id in the headers.",
    )
    return AnswerNotComplete(generation_id, body, 503)


def _refusal(request: Request, error: Exception) -> Response:
    if isinstance(error, AnswerNotComplete):
        return Json(error.body, error.status_code, {**(error.headers or {}), **ratelimit_headers_of(request)})
    problem = refusal(request, error)
    body = decode_json(bytes(problem.body))
    param = error.param if isinstance(error, BadRequest) else None
    headers = {name: value for name, value in problem.headers.items() if not name.lower().startswith("content-")}
    failure = openai_errors.failure(problem.status_code, body["code"], body["detail"], param)
    return Json(failure, problem.status_code, headers)
