"""Owns the reduction of a log to the answer so far.

Pure: events in, one dict out. Every viewer does the same with its events (PROTOCOL.md, Events), so both end
with the same text.
"""

from collections.abc import Iterable
from typing import Any, Final

from outlive.api.schemas import Reduced, SnapshotError, SnapshotToolCall, SnapshotToolResult, StatusName
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, decode_json_exactly
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import TERMINAL, EventType, type_of_bytes
from outlive.shared.model.generation import Status
from outlive.shared.model.json_ops import Op, compose

_STEP: Final = "step"
_TEXTS: Final = (EventType.TOKEN, EventType.REASONING, EventType.REFUSAL)


Event = tuple[Cursor, EventType, dict[str, Any]]


class Reduction:
    """Grows event by event; `result` may be called at any time."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._terminal: tuple[EventType, dict[str, Any]] | None = None
        self._cursor = START

    def add(self, event: Logged) -> None:
        """Take the next event of the log."""
        self._cursor = event.cursor
        kind = type_of_bytes.get(event.type)
        if kind is None:
            return
        if kind is EventType.JSON:
            # Decoded by `result`, because `compose` changes the operations it is given.
            self._events.append((event.cursor, kind, {_STEP: event.data}))
            return
        data: dict[str, Any] = decode_json(event.data)
        if kind in TERMINAL:
            self._terminal = kind, data
        else:
            self._events.append((event.cursor, kind, data))

    def result(self) -> Reduced:
        """The answer so far, and the cursor that continues exactly after it."""
        events = self._valid_events()
        kind, end = self._terminal or (None, {})
        attempts = [data for _, each, data in events if each is EventType.ATTEMPT]
        output = events[_index_of_last_attempt(events) + 1 :]
        pieces: dict[EventType, list[str]] = {text: [] for text in _TEXTS}
        for _, each, data in output:
            if each in pieces:
                pieces[each].append(data["text"])
        return Reduced(
            status=_status(kind, has_attempt=bool(attempts)),
            attempt=attempts[-1]["attempt"] if attempts else 0,
            cursor=str(self._cursor),
            text="".join(pieces[EventType.TOKEN]),
            reasoning="".join(pieces[EventType.REASONING]),
            refusal="".join(pieces[EventType.REFUSAL]),
            tool_calls=_tool_calls(data for _, each, data in output if each is EventType.TOOL_CALL),
            tool_results=[_tool_result(data) for _, each, data in output if each is EventType.TOOL_RESULT],
            json=_values(data[_STEP] for _, each, data in output if each is EventType.JSON),
            usage=end.get("usage"),
            finish_reason=end.get("finish_reason"),
            violations=end.get("violations") or [],
            error=_error(end) if kind is EventType.FAILED else None,
        )

    def _valid_events(self) -> list[Event]:
        """Without events after the terminal's `cut`, which a failover may leave in the log."""
        cut = self._terminal[1].get("cut") if self._terminal else None
        if cut is None:
            return self._events
        last = Cursor.parse(cut)
        return [event for event in self._events if event[0] <= last]


def _index_of_last_attempt(events: list[Event]) -> int:
    return max((i for i, (_, kind, _) in enumerate(events) if kind is EventType.ATTEMPT), default=-1)


def _status(terminal: EventType | None, *, has_attempt: bool) -> StatusName:
    if terminal is not None:
        return Status(terminal.value).value
    return "running" if has_attempt else "queued"


def _tool_calls(pieces: Iterable[dict[str, Any]]) -> list[SnapshotToolCall]:
    calls: dict[int, SnapshotToolCall] = {}
    arguments: dict[int, list[str]] = {}
    for piece in pieces:
        index = piece["index"]
        call = calls.setdefault(index, SnapshotToolCall(index=index, id=None, name=None, arguments=""))
        # The first piece of a call has them; some providers repeat them on every piece.
        call["id"] = call["id"] or piece.get("id")
        call["name"] = call["name"] or piece.get("name")
        arguments.setdefault(index, []).append(piece["arguments"])
    for index, call in calls.items():
        call["arguments"] = "".join(arguments[index])
    return [calls[index] for index in sorted(calls)]


def _values(steps: Iterable[bytes]) -> dict[str, Any]:
    """The value so far of each target. Its first operation sets the root, so all of them compose to one `set`."""
    ops: dict[str, list[Op]] = {}
    for step in map(decode_json_exactly, steps):
        ops.setdefault(step["target"], []).extend(step["ops"])
    return {target: compose(each)[0]["value"] for target, each in ops.items()}


def _tool_result(data: dict[str, Any]) -> SnapshotToolResult:
    return SnapshotToolResult(
        id=data["id"],
        name=data["name"],
        content=data.get("content"),
        error=data.get("error"),
        duration_ms=data["duration_ms"],
    )


def _error(failed: dict[str, Any]) -> SnapshotError:
    return SnapshotError(code=failed["code"], message=failed["message"], retryable=failed["retryable"])
