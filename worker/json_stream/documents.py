"""Owns the JSON values of one attempt: what grows which, how much may be told, what came of them.

Pure: time is handed in. The answer is one when `response_format` asks for JSON, and each tool
call's arguments are one. Knows no log: what is to be told is handed back as events.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import OUTPUT, Delta, Json, Refusal, Token, ToolCall, Violation
from outlive.shared.model.json_ops import Op
from outlive.shared.model.schema_check import asked_schema
from outlive.worker.json_stream.partial_json import NotJson, NotStreamable, PartialJson

_EVENT_BYTES: Final = 64
"""What an event holds besides its ops and its target, which may be a provider's long call id; and some room."""

TELL_FACTOR: Final = 2
"""`json` events may take so many times `max_output_bytes`, beside the text, and then no more are
told. They repeat the text and add paths: at 20 events a second for an hour that is twice 4 MB."""


class Judgeable(NamedTuple):
    """A finished value, and the schema it was asked to keep."""

    target: str
    schema: Any
    value: Any


@dataclass(slots=True)
class _Document:
    target: str
    around_bytes: int
    """What an event of it holds besides its ops."""
    growing: PartialJson
    schema: Any = None
    stands_because: str | None = None
    """Why no more of it is told."""
    is_ended: bool = False


class Documents:
    """Pieces of the answer in, `json` events out."""

    def __init__(self, request: Mapping[str, Any], *, max_event_bytes: int, max_bytes: int) -> None:
        self.violations: list[Violation] = []
        """What is known to be wrong without asking a schema."""
        self.judgeable: list[Judgeable] = []
        self._event_bytes = max_event_bytes
        self._left_bytes = max_bytes
        self._all: dict[str, _Document] = {}
        self._calls: dict[int, _Document] = {}
        self._parameters = _parameters_of(request)
        self._output: _Document | None = None
        self._said_otherwise = False
        schema = asked_schema(request)
        if schema is not None:
            self._output = self._begin(OUTPUT, schema)

    @property
    def due_s(self) -> float | None:
        """When to `look` next; None while nothing is new."""
        if not self._all:
            return None
        return min((due for each in self._growing() if (due := each.growing.due_s) is not None), default=None)

    def take(self, event: Delta) -> None:
        """The next piece of the answer."""
        match event:
            case Token() if self._output is not None:
                self._output.growing.feed(event.text)
            case ToolCall():
                self._said_otherwise = True
                self._take_call(event)
            case Refusal():
                self._said_otherwise = True

    def look(self, now_s: float) -> Iterator[Json]:
        """Tell what is due."""
        for document in list(self._growing()):
            due_s = document.growing.due_s
            if due_s is not None and due_s <= now_s:
                yield from self._tell(document, document.growing.look(now_s))

    def end_call(self, call_id: str) -> Iterator[Json]:
        """These arguments are whole, long before the answer may be."""
        document = self._all.get(call_id)
        if document is not None and not document.is_ended:
            yield from self._end(document)

    def end(self) -> Iterator[Json]:
        """The answer is whole. Afterwards `violations` and `judgeable` say what came of it."""
        for document in self._all.values():
            if not document.is_ended:
                yield from self._end(document)

    def _begin(self, target: str, schema: Any = None) -> _Document:
        around_bytes = _EVENT_BYTES + len(encode_json(target))
        growing = PartialJson(self._event_bytes - around_bytes - _EVENT_BYTES)
        return self._all.setdefault(target, _Document(target, around_bytes, growing, schema))

    def _growing(self) -> Iterator[_Document]:
        return (each for each in self._all.values() if not each.is_ended and each.stands_because is None)

    def _take_call(self, piece: ToolCall) -> None:
        if piece.id is not None:
            self._calls[piece.index] = self._begin(piece.id)
        document = self._calls.get(piece.index)
        if document is None:
            return
        if piece.name is not None:
            document.schema = self._parameters.get(piece.name)
        document.growing.feed(piece.arguments)

    def _end(self, document: _Document) -> Iterator[Json]:
        document.is_ended = True
        if document.growing.is_empty and (document.target != OUTPUT or self._said_otherwise):
            # Calls without arguments come as nothing, as often as `{}`; a refusal is no broken JSON.
            return
        try:
            value, ops = document.growing.end()
        except NotJson as error:
            # Its time does not matter any more: there will not be another look.
            yield from self._tell(document, document.growing.look(0.0))
            message = "The text ends before the JSON does." if error.is_cut else "The text is not JSON."
            self.violations.append(Violation(document.target, "", message))
            return
        yield from self._tell(document, ops)
        if document.stands_because is not None:
            self.violations.append(Violation(document.target, "", document.stands_because))
        if document.schema is not None:
            self.judgeable.append(Judgeable(document.target, document.schema, value))

    def _tell(self, document: _Document, ops: Iterable[Op]) -> Iterator[Json]:
        """These ops as events of bounded size, until all that may be told is told."""
        if document.stands_because is not None:
            return
        try:
            for packed, size in _packed(ops, document.around_bytes, self._event_bytes):
                if size > self._left_bytes:
                    document.stands_because = "It is too large to be told as it grows; the text is whole."
                    return
                self._left_bytes -= size
                yield Json(document.target, packed)
        except NotStreamable as error:
            document.stands_because = f"{error} What was told before stands; the text is whole."


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
    """By tool, what its arguments must keep."""
    functions = [tool.get("function") for tool in request.get("tools") or () if isinstance(tool, dict)]
    return {
        function["name"]: function.get("parameters")
        for function in functions
        if isinstance(function, dict) and isinstance(function.get("name"), str)
    }
