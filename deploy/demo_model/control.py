"""Owns the controls for tests: gates that streams wait at, and the record of requests.

Knows neither HTTP nor the contents of answers.
"""

import asyncio
import time
from collections import deque
from itertools import count
from typing import Any, Final, Literal

from outlive.deploy.demo_model.chat_request import Request
from outlive.deploy.demo_model.model_options import Refused

End = Literal["open", "finished", "client_closed", "failed"]

_MAX_GATES: Final = 10_000
_MAX_REQUESTS: Final = 1_000
_SHOWN_CHARS: Final = 100
_METADATA_CHARS: Final = 2_000


class Gates:
    """Named gates. All are closed at first; a gate that was opened stays open."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    async def wait(self, name: str) -> None:
        """Return when gate `name` is open."""
        await self._gate(name).wait()

    def open(self, name: str) -> None:
        """Open gate `name` for all streams. Raises `Refused` when there are too many gates."""
        self._gate(name).set()

    def _gate(self, name: str) -> asyncio.Event:
        gate = self._gates.get(name)
        if gate is None:
            # A gate that was opened must not be forgotten, so all that is left is to refuse.
            if len(self._gates) >= _MAX_GATES:
                raise Refused(429, f"There are {_MAX_GATES} gates already; restart the demo model.")
            gate = self._gates[name] = asyncio.Event()
        return gate


class RequestRecord:
    """The course of one request.

    Each time is kept twice: wall time for people, the monotonic clock for differences. On Linux and macOS all
    processes of a machine share the monotonic clock, so a test may compare it with its own.
    """

    def __init__(self, n: int, request: Request) -> None:
        self.n = n
        self.model = request.model[:_METADATA_CHARS]
        # Not the request itself: a thousand large ones would fill the memory.
        self._request = {
            "model": self.model,
            "stream": request.stream,
            "user": request.user[:_SHOWN_CHARS] if isinstance(request.user, str) else None,
            "metadata": request.metadata if len(str(request.metadata)) <= _METADATA_CHARS else None,
            "prompt": request.prompt[:_SHOWN_CHARS],
        }
        self._opened = _now()
        self._first_token: tuple[float, float] | None = None
        self._closed: tuple[float, float] | None = None
        self.end: End = "open"
        self.chunks_sent = 0
        self.blocked_s = 0.0
        self.at_gate: str | None = None

    def first_token(self) -> None:
        """The first delta is sent now."""
        self._first_token = self._first_token or _now()

    def close(self, end: End) -> None:
        """The request has ended. Only the first reason counts."""
        if self.end == "open":
            self.end, self._closed = end, _now()

    def as_json(self) -> dict[str, Any]:
        """The record, as tests read it."""
        opened, first, closed = self._opened, self._first_token or (None, None), self._closed or (None, None)
        return {
            "n": self.n,
            **self._request,
            "opened_at": opened[0],
            "opened_monotonic": opened[1],
            "first_token_at": first[0],
            "first_token_monotonic": first[1],
            "closed_at": closed[0],
            "closed_monotonic": closed[1],
            "end": self.end,
            "chunks_sent": self.chunks_sent,
            "blocked_s": round(self.blocked_s, 6),
            "at_gate": self.at_gate,
        }


class Ledger:
    """The records of the last requests, oldest first."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._records: deque[RequestRecord] = deque(maxlen=_MAX_REQUESTS)

    def open(self, request: Request) -> RequestRecord:
        """Record that a request begins."""
        record = RequestRecord(next(self._numbers), request)
        self._records.append(record)
        return record

    def times(self, model: str) -> int:
        """The number of recorded requests with exactly this model name."""
        return sum(record.model == model for record in self._records)

    def as_json(self) -> dict[str, Any]:
        """All records."""
        return {"requests": [record.as_json() for record in self._records]}


def _now() -> tuple[float, float]:
    return time.time(), time.monotonic()
