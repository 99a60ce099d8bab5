"""Owns when an attempt's JSON values are read, and what its last event says of them.

The rim of `documents.py`: it reads the clock and writes to the publication. Values are read when a piece comes, or by a
timer when the provider is silent, so that a value never stays behind its text. While the log cannot take more they are
not read: the value catches up in one step afterwards.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from outlive.shared.errors import OwnershipLost
from outlive.shared.model.events import Delta, Json, ToolCallDone, Violation
from outlive.shared.model.schema_check import MAX, findings, schema_error
from outlive.worker.json_stream.documents import MAX_JSON_FACTOR, Checkable, Documents
from outlive.worker.publishing.publication import Publication
from outlive.worker.timers import Timer, Timers


class JsonStream:
    """The JSON values of one attempt, written to its publication. End it with `stop`."""

    def __init__(self, publication: Publication, request: Mapping[str, Any], timers: Timers) -> None:
        limits = publication.limits
        self._documents = Documents(
            request, max_event_bytes=limits.max_event_bytes, max_bytes=limits.max_output_bytes * MAX_JSON_FACTOR
        )
        self._publication = publication
        self._timers = timers
        self._timer: Timer | None = None

    def take(self, piece: Delta) -> None:
        """A piece that was added to the publication just now. Raises `OwnershipLost`."""
        self._documents.take(piece)
        self._write_due()

    async def end_call(self, call: ToolCallDone) -> None:
        """A call's arguments are complete: write the rest of them before the call is run. Raises `OwnershipLost`."""
        await self._write(self._documents.end_call(call.id))

    async def end(self) -> list[Violation] | None:
        """The answer is complete: write the rest, and return what is wrong with it. Raises `OwnershipLost`."""
        self.stop()
        await self._write(self._documents.end())
        violations = self._documents.violations
        if self._documents.checkable:
            # A schema takes milliseconds, a bad one seconds: other generations must not wait for it.
            violations = violations + await asyncio.to_thread(_check, self._documents.checkable)
        return violations[:MAX] or None

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _write(self, steps: Iterable[Json]) -> None:
        for step in steps:
            if self._publication.is_full:
                await self._publication.wait_for_room()
            self._publication.add_json(step)

    def _write_due(self) -> None:
        self.stop()
        due_s = self._documents.due_s
        if due_s is None or self._publication.is_full:
            return
        now_s = self._timers.time()
        if due_s <= now_s:
            for step in self._documents.read_due(now_s):
                self._publication.add_json(step)
            due_s = self._documents.due_s
        if due_s is not None:
            self._timer = self._timers.call_at(due_s, self._on_timer)

    def _on_timer(self) -> None:
        try:
            self._write_due()
        except OwnershipLost:
            # The attempt learns it by itself, with its next piece or from `lost`.
            self.stop()


def _check(values: list[Checkable]) -> list[Violation]:
    """What complete values violate. A tool's schema was not checked at create, and may not be a schema at all."""
    return [
        Violation(target, *finding)
        for target, schema, value in values
        if schema_error(schema) is None
        for finding in findings(schema, value)
    ]
