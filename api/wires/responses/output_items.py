"""Owns the output items of one response while they grow, and the stream events that tell of it.

Pure. Knows no log: it is told what was said, and answers events without numbers. At most one
message or reasoning is open at a time; calls stay open side by side until each is known whole.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

Item = dict[str, Any]
ItemStatus = Literal["completed", "incomplete"]


class Said(NamedTuple):
    """One stream event; its number is not known here."""

    type: str
    fields: dict[str, Any]


class Manner(NamedTuple):
    """How one kind of text is told: in which item and part, and by which events."""

    item: Literal["message", "reasoning"]
    part: str
    key: str
    event: str


TEXT: Final = Manner("message", "output_text", "text", "response.output_text")
REFUSAL: Final = Manner("message", "refusal", "refusal", "response.refusal")
REASONING: Final = Manner("reasoning", "reasoning_text", "text", "response.reasoning_text")

_PREFIXES: Final = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "function_call_output": "fco_"}
_ARGUMENTS: Final = "response.function_call_arguments"

_WORDLESS: Final[dict[str, Any]] = {"logprobs": []}
"""The SDKs want it beside text, though nothing is known of it."""


class _Growing:
    """An item that is not whole yet, and the pieces of what grows in it."""

    def __init__(self, item: Item, index: int) -> None:
        self.item = item
        self.index = index
        self.manner: Manner | None = None
        self.pieces: list[str] = []

    @property
    def place(self) -> dict[str, Any]:
        """Where its deltas belong."""
        place = {"item_id": self.item["id"], "output_index": self.index}
        return place if self.manner is None else place | {"content_index": len(self.item["content"])}

    def added(self) -> Said:
        return Said("response.output_item.added", {"output_index": self.index, "item": dict(self.item)})

    def part(self) -> dict[str, Any]:
        """The open part as it stands."""
        assert self.manner is not None, "only what is spoken has parts"
        part: dict[str, Any] = {"type": self.manner.part, self.manner.key: "".join(self.pieces)}
        return part | {"annotations": []} | _WORDLESS if self.manner is TEXT else part

    def begin_part(self, manner: Manner) -> Iterator[Said]:
        self.manner, self.pieces = manner, []
        yield Said("response.content_part.added", self.place | {"part": self.part()})

    def end_part(self) -> Iterator[Said]:
        if self.manner is None:
            return
        place, part, manner = self.place, self.part(), self.manner
        words = _WORDLESS if manner is TEXT else {}
        yield Said(f"{manner.event}.done", place | {manner.key: part[manner.key]} | words)
        yield Said("response.content_part.done", place | {"part": part})
        self.item = self.item | {"content": [*self.item["content"], part]}
        self.manner = None

    def end(self, status: ItemStatus) -> Iterator[Said]:
        yield from self.end_part()
        if self.item["type"] == "function_call":
            self.item = self.item | {"arguments": "".join(self.pieces)}
            if status == "completed":
                named = {"name": self.item["name"], "arguments": self.item["arguments"]}
                yield Said(f"{_ARGUMENTS}.done", self.place | named)
        self.item = self.item | {"status": status}
        yield Said("response.output_item.done", {"output_index": self.index, "item": self.item})

    def as_it_stands(self) -> Item:
        if self.manner is not None:
            return self.item | {"content": [*self.item["content"], self.part()]}
        return self.item | {"arguments": "".join(self.pieces)} if self.item["type"] == "function_call" else self.item


class Output:
    """Items under ids made from `key`. Only the last attempt's count, but all have been told, so
    indices go on over all attempts."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._next_index = 0
        self._items: list[_Growing] = []
        self._speech: _Growing | None = None
        self._calls: dict[int, _Growing] = {}
        self._call_ids: dict[str, str] = {}
        self._used_call_ids: set[str] = set()

    def items(self) -> list[Item]:
        """What has been said so far; what is open, as far as it has come."""
        return [each.as_it_stands() for each in self._items]

    def speak(self, manner: Manner, text: str) -> Iterator[Said]:
        """The next piece of text."""
        speech = self._speech
        if speech is None or speech.manner is not manner:
            if speech is None or speech.item["type"] != manner.item:
                yield from self._end_speech("completed")
                speech = self._speech = self._new(_spoken(manner))
                yield speech.added()
            yield from speech.end_part()
            yield from speech.begin_part(manner)
        speech.pieces.append(text)
        yield Said(f"{manner.event}.delta", speech.place | {"delta": text} | (_WORDLESS if manner is TEXT else {}))

    def call(self, index: int, call_id: str | None, name: str | None, arguments: str) -> Iterator[Said]:
        """The next piece of a call; the first one names it."""
        call = self._calls.get(index)
        if call is None:
            yield from self._end_speech("completed")
            called = {"type": "function_call", "call_id": self._own(call_id or ""), "name": name, "arguments": ""}
            call = self._calls[index] = self._new(called)
            yield call.added()
        if arguments:
            call.pieces.append(arguments)
            yield Said(f"{_ARGUMENTS}.delta", call.place | {"delta": arguments})

    def call_is_whole(self, index: int) -> Iterator[Said]:
        call = self._calls.pop(index, None)
        if call is not None:
            yield from call.end("completed")

    def result(self, call_id: str, output: str) -> Iterator[Said]:
        """What a worker got from running a call."""
        yield from self._end_speech("completed")
        told = self._new({"type": "function_call_output", "call_id": self._own(call_id), "output": output})
        yield told.added()
        yield from told.end("completed")

    def end(self, status: ItemStatus) -> Iterator[Said]:
        """Nothing more comes. A call that is not known whole is incomplete in any case."""
        yield from self._end_speech(status)
        for call in self._calls.values():
            yield from call.end("incomplete")
        self._calls.clear()

    def forget(self) -> Iterator[Said]:
        """A new attempt begins: what was said is closed, and does not count."""
        yield from self.end("incomplete")
        self._items.clear()
        self._used_call_ids |= set(self._call_ids.values())
        self._call_ids.clear()

    def _end_speech(self, status: ItemStatus) -> Iterator[Said]:
        if self._speech is not None:
            yield from self._speech.end(status)
            self._speech = None

    def _own(self, call_id: str) -> str:
        """The id this attempt's call goes by. A new attempt may tell a call again under the id it had,
        but the SDKs take the id for the item, and two items with one for a broken stream."""
        own = self._call_ids.get(call_id, call_id)
        while own in self._used_call_ids:
            own += "_"
        self._call_ids[call_id] = own
        return own

    def _new(self, item: Item) -> _Growing:
        own = {"id": f"{_PREFIXES[item['type']]}{self._key}_{self._next_index}", "status": "in_progress"}
        growing = _Growing(own | item, self._next_index)
        self._next_index += 1
        self._items.append(growing)
        return growing


def _spoken(manner: Manner) -> Item:
    own: Item = {"role": "assistant"} if manner.item == "message" else {"summary": []}
    return {"type": manner.item, "content": []} | own
