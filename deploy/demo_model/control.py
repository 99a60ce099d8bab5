"""Owns what tests hold the model by: gates that streams wait at, and the record of requests.

Knows neither HTTP nor what is said.
"""

import asyncio
import time
from collections import deque
from itertools import count
from typing import Any, Final, Literal

from outlive.deploy.demo_model.model_options import Refused, Request

End = Literal["open", "finished", "client_closed", "failed"]

_MAX_GATES: Final = 10_000
_MAX_REQUESTS: Final = 1_000
_SHOWN_CHARS: Final = 100
_METADATA_CHARS: Final = 2_000


class Gates:
    """Named gates. All are closed at first; once opened a gate stays open."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    async def wait(self, name: str) -> None:
        """Return when gate `name` is open."""
        await self._gate(name).wait()

    def open(self, name: str) -> None:
        """Let everybody past gate `name`. Raises `Refused` when there are too many gates."""
        self._gate(name).set()

    def _gate(self, name: str) -> asyncio.Event:
        gate = self._gates.get(name)
        if gate is None:
            # An opened gate may not be forgotten, so a full record can only refuse.
            if len(self._gates) >= _MAX_GATES:
                raise Refused(429, f"There are {_MAX_GATES} gates already; start the server again.")
            gate = self._gates[name] = asyncio.Event()
        return gate


class Seen:
    """What became of one request.

    Times are kept twice: wall time for people, and the monotonic clock for differences. On Linux
    and macOS the latter is the whole machine's, so a test may compare it with its own.
    """

    def __init__(self, n: int, request: Request) -> None:
        self.n = n
        self.model = request.model[:_METADATA_CHARS]
        # Not the request itself: a thousand large ones would be kept.
        self._asked = {
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
        """The first delta goes out now."""
        self._first_token = self._first_token or _now()

    def close(self, end: End) -> None:
        """It is over. Only the first reason counts."""
        if self.end == "open":
            self.end, self._closed = end, _now()

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        opened, first, closed = self._opened, self._first_token or (None, None), self._closed or (None, None)
        return {
            "n": self.n,
            **self._asked,
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
    """The last requests, oldest first."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._seen: deque[Seen] = deque(maxlen=_MAX_REQUESTS)

    def open(self, request: Request) -> Seen:
        """A request begins."""
        seen = Seen(next(self._numbers), request)
        self._seen.append(seen)
        return seen

    def times(self, model: str) -> int:
        """How often this very name was asked, as far as is remembered."""
        return sum(seen.model == model for seen in self._seen)

    def as_json(self) -> dict[str, Any]:
        """All that is remembered."""
        return {"requests": [seen.as_json() for seen in self._seen]}


def _now() -> tuple[float, float]:
    return time.time(), time.monotonic()
