"""Owns an upstream that answers by a script: the port that a model asks, without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from outlive.worker.attempt.model import Model
from tests.support.hand_clock import HandClock
from tests.support.metrics_reading import unread_worker_metrics

FIRST_S: Final = 30.0
BETWEEN_S: Final = 10.0
SILENCE: Final = "silence"
"""In a script: nothing comes from here on."""
PING: Final = "ping"
"""In a script: bytes that are not a chunk."""


def token(text: str) -> dict[str, Any]:
    """A chunk with this text."""
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": text}}]}


def call(call_id: str, name: str, arguments: str = "{}", index: int = 0) -> dict[str, Any]:
    """A chunk with one whole call."""
    piece = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}


def finish(reason: str = "stop") -> dict[str, Any]:
    """The chunk that says that the answer is complete."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The chunk that counts."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


class ScriptedUpstream:
    """One script for each request: chunks, and errors to raise in their place."""

    name = "scripted"
    first_token_s = FIRST_S
    between_tokens_s = BETWEEN_S

    def __init__(self, *scripts: Sequence[Any], max_output_tokens: int = 1000) -> None:
        self.permit = asyncio.Semaphore(1)
        self.max_output_tokens = max_output_tokens
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.open_sockets = 0
        self._scripts = list(scripts)

    @asynccontextmanager
    async def open(
        self, request: dict[str, Any], headers: Mapping[str, str], alive: Callable[[], None]
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """The next script."""
        self.requests.append(request)
        self.headers.append(headers)
        self.open_sockets += 1
        try:
            yield self._play(self._scripts.pop(0), alive)
        finally:
            self.open_sockets -= 1

    async def _play(self, script: Sequence[Any], alive: Callable[[], None]) -> AsyncIterator[Any]:
        for step in script:
            if isinstance(step, Exception):
                raise step
            if step is PING:
                alive()
                await asyncio.sleep(0)
                continue
            if step is SILENCE:
                await asyncio.Event().wait()
            yield step

    def model(self, clock: HandClock, *others: "ScriptedUpstream") -> Model:
        """The model that this upstream serves, and those after it."""
        return Model(lambda _: [self, *others], unread_worker_metrics(), clock)
