"""Owns what came of asking an upstream for its models: for the doctor, and for the welcome of `outlive up`.

The request goes the way of a worker's requests for answers, so what fails here fails there, in the same words. It costs
nothing, and most providers answer it only to a valid key.
"""

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from openai import APIStatusError

from outlive.shared.errors import UpstreamError
from outlive.worker.upstream.aiohttp_transport import body_of
from outlive.worker.upstream.chat_client import ChatUpstream
from outlive.worker.upstream.provider_errors import error_in, failure_of, not_an_answer
from outlive.worker.upstream.read_limits import content_type

_WANTED: Final = "a list of models"
_MAX_BYTES: Final = 4_194_304
"""OpenRouter's list, the longest that is known, has 600 kB."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """The names that an upstream lists, or `fault`: why it lists none, in the worker's sentence."""

    names: tuple[str, ...] = ()
    fault: str = ""
    status: int | None = None
    """The status with which it refused."""


async def list_models(upstream: ChatUpstream, *, within_s: float) -> ModelList:
    """Ask once. Never raises for what the upstream does."""
    try:
        async with asyncio.timeout(within_s), upstream.open_models() as response:
            body = b""
            async with aclosing(body_of(response)) as pieces:
                while len(body) <= _MAX_BYTES and (piece := await pieces.read()):
                    body += piece
            return ModelList(_names(content_type(response), body))
    except TimeoutError:
        return ModelList(fault=f"The upstream `{upstream.name}` did not answer within {within_s:g} s.")
    except UpstreamError as error:
        cause = error.__cause__
        return ModelList((), error.message, cause.status_code if isinstance(cause, APIStatusError) else None)


def _names(media_type: str, body: bytes) -> tuple[str, ...]:
    """Most wrap the list as OpenAI does; some send it alone. Raises `UpstreamError` for anything else."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        # Only a page has a title to repeat: a text such as "Ollama is running" explains nothing.
        page = body if body.lstrip()[:1] == b"<" else b""
        raise not_an_answer(media_type, page, _WANTED) from None
    if isinstance(value, dict) and (reported := error_in(value)):
        raise failure_of(reported)
    models = value.get("data") if isinstance(value, dict) else value
    if not isinstance(models, list):
        raise not_an_answer(media_type, b"", _WANTED)
    ids = (model.get("id") if isinstance(model, dict) else None for model in models)
    return tuple(name for name in ids if isinstance(name, str))
