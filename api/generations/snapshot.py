"""Owns the reduction of a log to the answer so far.

Pure: entries in, one dict out. What it does is what every viewer does with its events (PROTOCOL.md,
Events), so both end with the same text. It takes pages, so that no long log is decoded in one go.
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


class Reduction:
    """Grows page by page; `result` may be asked at any time."""

    def __init__(self) -> None:
        self._said: list[tuple[Cursor, EventType, dict[str, Any]]] = []
        self._terminal: tuple[EventType, dict[str, Any]] | None = None
        self.cursor = START

    def add(self, page: Iterable[Logged]) -> None:
        """Take the next entries of the log, in order."""
        for entry in page:
            self.cursor = entry.cursor
            kind = type_of_bytes.get(entry.type)
            if kind is None:
                continue
            if kind is EventType.JSON:
                # Decoded when it is needed, because composing uses it up.
                self._said.append((entry.cursor, kind, {_STEP: entry.data}))
                continue
            data: dict[str, Any] = decode_json(entry.data)
            if kind in TERMINAL:
                self._terminal = kind, data
            else:
                self._said.append((entry.cursor, kind, data))

    def result(self) -> Reduced:
        """The answer so far, and the cursor that continues exactly after it."""
        said = self._counting()
        kind, end = self._terminal or (None, {})
        begun = [data for _, entry, data in said if entry is EventType.ATTEMPT]
        output = said[_last_attempt(said) + 1 :]
        pieces: dict[EventType, list[str]] = {text: [] for text in _TEXTS}
        for _, entry, data in output:
            if entry in pieces:
                pieces[entry].append(data["text"])
        return Reduced(
            status=_status(kind, bool(begun)),
            attempt=begun[-1]["attempt"] if begun else 0,
            cursor=str(self.cursor),
            text="".join(pieces[EventType.TOKEN]),
            reasoning="".join(pieces[EventType.REASONING]),
            refusal="".join(pieces[EventType.REFUSAL]),
            tool_calls=_tool_calls(data for _, entry, data in output if entry is EventType.TOOL_CALL),
            tool_results=[_tool_result(data) for _, entry, data in output if entry is EventType.TOOL_RESULT],
            json=_values(data[_STEP] for _, entry, data in output if entry is EventType.JSON),
            usage=end.get("usage"),
            finish_reason=end.get("finish_reason"),
            violations=end.get("violations") or [],
            error=_error(end) if kind is EventType.FAILED else None,
        )

    def _counting(self) -> list[tuple[Cursor, EventType, dict[str, Any]]]:
        """Without what came after the `cut`, should a failover ever leave anything there."""
        cut = self._terminal[1].get("cut") if self._terminal else None
        if cut is None:
            return self._said
        last = Cursor.parse(cut)
        return [entry for entry in self._said if entry[0] <= last]


def _last_attempt(said: list[tuple[Cursor, EventType, dict[str, Any]]]) -> int:
    return max((i for i, (_, kind, _) in enumerate(said) if kind is EventType.ATTEMPT), default=-1)


def _status(terminal: EventType | None, begun: bool) -> StatusName:
    if terminal is not None:
        return Status(terminal.value).value
    return "running" if begun else "queued"


def _tool_calls(pieces: Iterable[dict[str, Any]]) -> list[SnapshotToolCall]:
    calls: dict[int, SnapshotToolCall] = {}
    arguments: dict[int, list[str]] = {}
    for piece in pieces:
        index = piece["index"]
        call = calls.setdefault(index, SnapshotToolCall(index=index, id=None, name=None, arguments=""))
        # They stand on the first piece; some providers repeat them on every one.
        call["id"] = call["id"] or piece.get("id")
        call["name"] = call["name"] or piece.get("name")
        arguments.setdefault(index, []).append(piece["arguments"])
    for index, call in calls.items():
        call["arguments"] = "".join(arguments[index])
    return [calls[index] for index in sorted(calls)]


def _values(steps: Iterable[bytes]) -> dict[str, Any]:
    """By target, the value so far: what its ops come to is one root `set`, for that is the first."""
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
