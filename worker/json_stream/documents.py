"""Owns the JSON values of one attempt: which piece belongs to which, how much may be written, how they ended.

Pure: time is handed in. The answer is a value when `response_format` asks for JSON, and so are the arguments of each
tool call. Knows no log: it hands back events.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import OUTPUT, Delta, Json, Refusal, Token, ToolCall, Violation
from outlive.shared.model.json_ops import Op
from outlive.shared.model.schema_check import asked_schema
from outlive.worker.json_stream.code_fence import CodeFence
from outlive.worker.json_stream.partial_json import NotJson, NotStreamable, PartialJson

_EVENT_BYTES: Final = 64
"""What an event holds besides its ops and its target (which may be a provider's long call id), and some room."""

MAX_JSON_FACTOR: Final = 2
"""`json` events may take so many times `max_output_bytes`, beside the text; then no more are written. They repeat the
text and add paths: at 20 events a second for an hour that is twice 4 MB."""


class Checkable(NamedTuple):
    """A complete value, and the schema it must keep."""

    target: str
    schema: Any
    value: Any


@dataclass(slots=True)
class _Document:
    target: str
    around_bytes: int
    """What an event of this value holds besides its ops."""
    partial: PartialJson
    schema: Any = None
    stopped_because: str | None = None
    """Why no more of it is written."""
    is_ended: bool = False


class Documents:
    """Pieces of the answer in, `json` events out."""

    def __init__(self, request: Mapping[str, Any], *, max_event_bytes: int, max_bytes: int) -> None:
        self.violations: list[Violation] = []
        """What is wrong, as far as it is known without a schema."""
        self.checkable: list[Checkable] = []
        self._event_bytes = max_event_bytes
        self._left_bytes = max_bytes
        self._all: dict[str, _Document] = {}
        self._calls: dict[int, _Document] = {}
        self._parameters = _parameters_of(request)
        self._output: _Document | None = None
        self._fence = CodeFence()
        self._has_other_output = False
        schema = asked_schema(request)
        if schema is not None:
            self._output = self._begin(OUTPUT, schema)

    @property
    def due_s(self) -> float | None:
        """When to call `read_due` next; None while nothing is new."""
        if not self._all:
            return None
        return min((due for each in self._open() if (due := each.partial.due_s) is not None), default=None)

    def take(self, event: Delta) -> None:
        """The next piece of the answer."""
        match event:
            case Token() if self._output is not None:
                self._output.partial.feed(self._fence.feed(event.text))
            case ToolCall():
                self._has_other_output = True
                self._take_call(event)
            case Refusal():
                self._has_other_output = True

    def read_due(self, now_s: float) -> Iterator[Json]:
        """Read the values that are due; the events for what is new in them."""
        for document in list(self._open()):
            due_s = document.partial.due_s
            if due_s is not None and due_s <= now_s:
                yield from self._events(document, document.partial.read(now_s))

    def end_call(self, call_id: str) -> Iterator[Json]:
        """These arguments are complete, perhaps long before the answer."""
        document = self._all.get(call_id)
        if document is not None and not document.is_ended:
            yield from self._end(document)

    def end(self) -> Iterator[Json]:
        """The answer is complete. Afterwards `violations` and `checkable` say how its values ended."""
        if self._output is not None:
            self._output.partial.feed(self._fence.end())
            if self._fence.is_open:
                self.violations.append(Violation(OUTPUT, "", "The JSON is inside a code fence."))
        for document in self._all.values():
            if not document.is_ended:
                yield from self._end(document)

    def _begin(self, target: str, schema: Any = None) -> _Document:
        around_bytes = _EVENT_BYTES + len(encode_json(target))
        partial = PartialJson(self._event_bytes - around_bytes - _EVENT_BYTES)
        return self._all.setdefault(target, _Document(target, around_bytes, partial, schema))

    def _open(self) -> Iterator[_Document]:
        return (each for each in self._all.values() if not each.is_ended and each.stopped_because is None)

    def _take_call(self, piece: ToolCall) -> None:
        if piece.id is not None:
            self._calls[piece.index] = self._begin(piece.id)
        document = self._calls.get(piece.index)
        if document is None:
            return
        if piece.name is not None:
            document.schema = self._parameters.get(piece.name)
        document.partial.feed(piece.arguments)

    def _end(self, document: _Document) -> Iterator[Json]:
        document.is_ended = True
        if document.partial.is_empty and (document.target != OUTPUT or self._has_other_output):
            # Calls without arguments come as an empty text as often as as `{}`; a refusal is not broken JSON.
            return
        try:
            value, ops = document.partial.end()
        except NotJson as error:
            # The time does not matter any more: it will not be read again.
            yield from self._events(document, document.partial.read(0.0))
            message = "The text ends before the JSON does." if error.is_cut else "The text is not JSON."
            self.violations.append(Violation(document.target, "", message))
            return
        yield from self._events(document, ops)
        if document.stopped_because is not None:
            self.violations.append(Violation(document.target, "", document.stopped_because))
        if document.schema is not None:
            self.checkable.append(Checkable(document.target, document.schema, value))

    def _events(self, document: _Document, ops: Iterable[Op]) -> Iterator[Json]:
        """These ops as events of bounded size, until `max_bytes` are used up."""
        if document.stopped_because is not None:
            return
        try:
            for packed, size in _packed(ops, document.around_bytes, self._event_bytes):
                if size > self._left_bytes:
                    document.stopped_because = (
                        "The value is too large to be streamed as it grows; the text is complete."
                    )
                    return
                self._left_bytes -= size
                yield Json(document.target, packed)
        except NotStreamable as error:
            document.stopped_because = f"{error} The value stays as it was before; the text is complete."


def _packed(ops: Iterable[Op], around_bytes: int, max_bytes: int) -> Iterator[tuple[list[Op], int]]:
    packed: list[Op] = []
    size = around_bytes
    for op in ops:
        op_bytes = len(encode_json(op)) + 1
        if packed and size + op_bytes > max_bytes:
            yield packed, size
            packed, size = [], around_bytes
        packed.append(op)
        size += op_bytes
    if packed:
        yield packed, size


def _parameters_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of the tools' arguments, by the tool's name."""
    functions = [tool.get("function") for tool in request.get("tools") or () if isinstance(tool, dict)]
    return {
        function["name"]: function.get("parameters")
        for function in functions
        if isinstance(function, dict) and isinstance(function.get("name"), str)
    }
