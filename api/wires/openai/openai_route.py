"""Owns how routes of OpenAI's wires refuse: whatever is raised in one is answered in OpenAI's shape.

The status, code and headers are those that `api/http/problems.py` gives the same exception elsewhere.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from outlive.api.http.json_bodies import Json
from outlive.api.http.problems import refusal
from outlive.api.http.ratelimit_headers import LimitedRoute, limits_told
from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_errors import Failure
from outlive.api.wires.openai.openai_ids import headers_of
from outlive.shared.errors import BadRequest, OutliveError
from outlive.shared.model.codec import decode_json

NOT_AGAIN: Final = {"X-Should-Retry": "false"}
"""Both SDKs heed it. Without it they would ask twice more for an answer that was made, and failed."""


class OpenAiRoute(LimitedRoute):
    """A route that raises as all others do."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (OutliveError, RequestValidationError, HTTPException) as error:
                return _refusal(request, error)

        return answer


class Failed(HTTPException):
    """An answer was asked for and is not to be had whole: told to whoever waited for it."""

    def __init__(self, generation_id: str, body: Failure, status: int) -> None:
        super().__init__(status, body["error"]["message"], headers=NOT_AGAIN | headers_of(generation_id))
        self.body = body


def failed(generation_id: str, terminal: Mapping[str, Any]) -> Failed:
    """It failed as its last event says."""
    return Failed(generation_id, openai_errors.failed(terminal), openai_errors.status_of(terminal["code"]))


def unfinished(generation_id: str) -> Failed:
    """It goes on, but cannot be told here and now: this process drains, has too many viewers, or Redis is away."""
    told = openai_errors.failure(503, "resume", "The answer goes on; ask for it again, by the id in the headers.")
    return Failed(generation_id, told, 503)


def _refusal(request: Request, error: Exception) -> Response:
    if isinstance(error, Failed):
        return Json(error.body, error.status_code, {**(error.headers or {}), **limits_told(request)})
    problem = refusal(request, error)
    told = decode_json(bytes(problem.body))
    param = error.param if isinstance(error, BadRequest) else None
    headers = {name: value for name, value in problem.headers.items() if not name.lower().startswith("content-")}
    return Json(
        openai_errors.failure(problem.status_code, told["code"], told["detail"], param), problem.status_code, headers
    )
