"""Owns the output items of one response while they grow, and the stream events that report it.

Pure. Knows no log: it is given pieces of output, and returns stream events without numbers. At most one message or
reasoning is open at a time; calls stay open side by side until each is whole.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

Item = dict[str, Any]
ItemStatus = Literal["completed", "incomplete"]


class StreamEvent(NamedTuple):
    """One event of the Responses API; the translator adds its number."""

    type: str
    fields: dict[str, Any]


class TextKind(NamedTuple):
    """Where one kind of text goes: its item, its part, the part's key for the text, and the names of its events."""

    item: Literal["message", "reasoning"]
    part: str
    key: str
    event: str


TEXT: Final = TextKind("message", "output_text", "text", "response.output_text")
REFUSAL: Final = TextKind("message", "refusal", "refusal", "response.refusal")
REASONING: Final = TextKind("reasoning", "reasoning_text", "text", "response.reasoning_text")

_PREFIXES: Final = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "function_call_output": "fco_"}
_ARGUMENTS: Final = "response.function_call_arguments"

_NO_LOGPROBS: Final[dict[str, Any]] = {"logprobs": []}
"""The SDKs require the field beside text; we have no values for it."""


class _Growing:
    """An item that is not whole yet, and the pieces of its open part or of its arguments."""

    def __init__(self, item: Item, index: int) -> None:
        self.item = item
        self.index = index
        self.kind: TextKind | None = None
        self.pieces: list[str] = []

    @property
    def address(self) -> dict[str, Any]:
        """The fields that say where its deltas belong."""
        address = {"item_id": self.item["id"], "output_index": self.index}
        return address if self.kind is None else address | {"content_index": len(self.item["content"])}

    def added(self) -> StreamEvent:
        return StreamEvent("response.output_item.added", {"output_index": self.index, "item": dict(self.item)})

    def part(self) -> dict[str, Any]:
        """The open part, as far as it has grown."""
        assert self.kind is not None, "only text has parts"
        part: dict[str, Any] = {"type": self.kind.part, self.kind.key: "".join(self.pieces)}
        return part | {"annotations": []} | _NO_LOGPROBS if self.kind is TEXT else part

    def begin_part(self, kind: TextKind) -> Iterator[StreamEvent]:
        self.kind, self.pieces = kind, []
        yield StreamEvent("response.content_part.added", self.address | {"part": self.part()})

    def end_part(self) -> Iterator[StreamEvent]:
        if self.kind is None:
            return
        address, part, kind = self.address, self.part(), self.kind
        logprobs = _NO_LOGPROBS if kind is TEXT else {}
        yield StreamEvent(f"{kind.event}.done", address | {kind.key: part[kind.key]} | logprobs)
        yield StreamEvent("response.content_part.done", address | {"part": part})
        self.item = self.item | {"content": [*self.item["content"], part]}
        self.kind = None

    def end(self, status: ItemStatus) -> Iterator[StreamEvent]:
        yield from self.end_part()
        if self.item["type"] == "function_call":
            self.item = self.item | {"arguments": "".join(self.pieces)}
            if status == "completed":
                named = {"name": self.item["name"], "arguments": self.item["arguments"]}
                yield StreamEvent(f"{_ARGUMENTS}.done", self.address | named)
        self.item = self.item | {"status": status}
        yield StreamEvent("response.output_item.done", {"output_index": self.index, "item": self.item})

    def so_far(self) -> Item:
        if self.kind is not None:
            return self.item | {"content": [*self.item["content"], self.part()]}
        return self.item | {"arguments": "".join(self.pieces)} if self.item["type"] == "function_call" else self.item


class Output:
    """Items under ids made from `key`. Only the last attempt's items count, but all were sent, so indices go on over
    all attempts."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._next_index = 0
        self._items: list[_Growing] = []
        self._text: _Growing | None = None
        """The open message or reasoning."""
        self._calls: dict[int, _Growing] = {}
        self._call_ids: dict[str, str] = {}
        self._used_call_ids: set[str] = set()

    def items(self) -> list[Item]:
        """All items of this attempt; an open one as far as it has grown."""
        return [growing.so_far() for growing in self._items]

    def add_text(self, kind: TextKind, text: str) -> Iterator[StreamEvent]:
        """The next piece of text."""
        open_text = self._text
        if open_text is None or open_text.kind is not kind:
            if open_text is None or open_text.item["type"] != kind.item:
                yield from self._end_text("completed")
                open_text = self._text = self._new(_text_item(kind))
                yield open_text.added()
            yield from open_text.end_part()
            yield from open_text.begin_part(kind)
        open_text.pieces.append(text)
        logprobs = _NO_LOGPROBS if kind is TEXT else {}
        yield StreamEvent(f"{kind.event}.delta", open_text.address | {"delta": text} | logprobs)

    def add_call(self, index: int, call_id: str | None, name: str | None, arguments: str) -> Iterator[StreamEvent]:
        """The next piece of a call; the first one names it."""
        call = self._calls.get(index)
        if call is None:
            yield from self._end_text("completed")
            item = {"type": "function_call", "call_id": self._unique(call_id or ""), "name": name, "arguments": ""}
            call = self._calls[index] = self._new(item)
            yield call.added()
        if arguments:
            call.pieces.append(arguments)
            yield StreamEvent(f"{_ARGUMENTS}.delta", call.address | {"delta": arguments})

    def end_call(self, index: int) -> Iterator[StreamEvent]:
        """The call is whole."""
        call = self._calls.pop(index, None)
        if call is not None:
            yield from call.end("completed")

    def add_result(self, call_id: str, output: str) -> Iterator[StreamEvent]:
        """The output of a call that the worker ran."""
        yield from self._end_text("completed")
        result = self._new({"type": "function_call_output", "call_id": self._unique(call_id), "output": output})
        yield result.added()
        yield from result.end("completed")

    def add_state(self, sealed: str) -> Iterator[StreamEvent]:
        """What the provider wants back of the turn that has just ended."""
        yield from self._end_text("completed")
        state = self._new(_text_item(REASONING) | {"encrypted_content": sealed})
        yield state.added()
        yield from state.end("completed")

    def end(self, status: ItemStatus) -> Iterator[StreamEvent]:
        """There will be no more output. A call that is still open is incomplete in any case."""
        yield from self._end_text(status)
        for call in self._calls.values():
            yield from call.end("incomplete")
        self._calls.clear()

    def forget(self) -> Iterator[StreamEvent]:
        """A new attempt begins: items so far are closed, and do not count."""
        yield from self.end("incomplete")
        self._items.clear()
        self._used_call_ids |= set(self._call_ids.values())
        self._call_ids.clear()

    def _end_text(self, status: ItemStatus) -> Iterator[StreamEvent]:
        if self._text is not None:
            yield from self._text.end(status)
            self._text = None

    def _unique(self, call_id: str) -> str:
        """The id of this attempt's call in our items. A new attempt may repeat a call under the id it had, but the
        SDKs identify an item by that id, and treat two items with one id as a broken stream."""
        unique = self._call_ids.get(call_id, call_id)
        while unique in self._used_call_ids:
            unique += "_"
        self._call_ids[call_id] = unique
        return unique

    def _new(self, item: Item) -> _Growing:
        common = {"id": f"{_PREFIXES[item['type']]}{self._key}_{self._next_index}", "status": "in_progress"}
        growing = _Growing(common | item, self._next_index)
        self._next_index += 1
        self._items.append(growing)
        return growing


def _text_item(kind: TextKind) -> Item:
    special: Item = {"role": "assistant"} if kind.item == "message" else {"summary": []}
    return {"type": kind.item, "content": []} | special
