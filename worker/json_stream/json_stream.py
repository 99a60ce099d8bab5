"""Owns when an attempt's JSON values are looked at, and what is said of them in its last event.

The rim of `documents.py`: it reads the clock and writes to the publication. A look comes with a
piece, or from a timer when the provider is silent, so that a value never stays behind its text.
While the log cannot take more there is no look: the value catches up in one step afterwards.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from outlive.shared.errors import OwnershipLost
from outlive.shared.model.events import Delta, Json, ToolCallDone, Violation
from outlive.shared.model.schema_check import MAX, findings, schema_error
from outlive.worker.json_stream.documents import TELL_FACTOR, Documents, Judgeable
from outlive.worker.publishing.publication import Publication


class JsonStream:
    """The JSON values of one attempt, told in its publication. Give it back with `stop`."""

    def __init__(self, publication: Publication, request: Mapping[str, Any]) -> None:
        limits = publication.outbox.limits
        self._documents = Documents(
            request, max_event_bytes=limits.max_event_bytes, max_bytes=limits.max_output_bytes * TELL_FACTOR
        )
        self._publication = publication
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, piece: Delta) -> None:
        """A piece that was added to the publication just now. Raises `OwnershipLost`."""
        self._documents.take(piece)
        self._look()

    async def end_call(self, call: ToolCallDone) -> None:
        """A call's arguments are whole: tell the rest of them before they are run. Raises `OwnershipLost`."""
        await self._tell(self._documents.end_call(call.id))

    async def end(self) -> list[Violation] | None:
        """The answer is whole: tell the rest, and say what is wrong with it. Raises `OwnershipLost`."""
        self.stop()
        await self._tell(self._documents.end())
        found = self._documents.violations
        if self._documents.judgeable:
            # A schema takes milliseconds, a bad one seconds: other generations must not wait for it.
            found = found + await asyncio.to_thread(_judge, self._documents.judgeable)
        return found[:MAX] or None

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _tell(self, steps: Iterable[Json]) -> None:
        for step in steps:
            if self._publication.is_full:
                await self._publication.room()
            self._publication.tell(step)

    def _look(self) -> None:
        self.stop()
        due_s = self._documents.due_s
        if due_s is None or self._publication.is_full:
            return
        now_s = self._loop.time()
        if due_s <= now_s:
            for event in self._documents.look(now_s):
                self._publication.tell(event)
            due_s = self._documents.due_s
        if due_s is not None:
            self._timer = self._loop.call_at(due_s, self._look_late)

    def _look_late(self) -> None:
        try:
            self._look()
        except OwnershipLost:
            # The attempt learns it by itself, with its next piece or from `lost`.
            self.stop()


def _judge(judgeable: list[Judgeable]) -> list[Violation]:
    """What finished values break. A tool's schema was not checked at create, and may be none."""
    return [
        Violation(target, *finding)
        for target, schema, value in judgeable
        if schema_error(schema) is None
        for finding in findings(schema, value)
    ]
