"""Owns one attempt's events on their way to the log: pending, sent, acknowledged.

Pure: no I/O, no clock. Knows nothing of Redis; `publisher.py` carries its batches. The whole attempt stays in memory
until it is closed (bounded by `max_output_bytes`), so that identical ids and bytes can be appended again after a
failover: `acknowledged_seq` is a position in `_entries`, and going back means setting it lower.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from outlive.shared.log.eventlog import MAX_CALL_EVENTS, Batch, Entry
from outlive.shared.log.replies import TakeReply
from outlive.shared.model.codec import encode
from outlive.shared.model.events import Delta, EventType, Json, Reasoning, Refusal, Terminal, Token, ToolCall, Whole
from outlive.shared.model.usage import estimate_output

_BATCH_BYTES: Final = 524_288


_EVENT_BYTES: Final = 32
"""Of an entry of a Redis stream beside its data."""


class OutputTooLarge(Exception):
    """The attempt produced more than it may, in bytes or in tokens."""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    unflushed_events: int
    max_event_bytes: int
    max_output_bytes: int


class Outbox:
    """Deltas in, batches out. Seq 0 is the `attempt` event, which `take` has written."""

    def __init__(self, generation_id: str, taken: TakeReply, limits: OutboxLimits) -> None:
        self.generation_id = generation_id
        self.epoch = taken.epoch
        self.chars = 0
        """Unicode code points of `token` text accepted so far."""
        self.acknowledged_seq = 0
        """The last seq that the log is known to hold."""
        self.closed = False
        self.limits = limits
        self._entries: list[Entry] = [Entry(EventType.ATTEMPT, b"", 0, 0)]
        self._pending: list[_Pending] = []
        self._pieces = 0
        self._pieces_pending = 0
        self._counted_chars = 0
        self._bytes = 0
        self._is_torn = False
        self._terminal: EventType | None = None

    @property
    def is_full(self) -> bool:
        """Pieces count, not joined events: otherwise one pending event could grow without end."""
        return self._pieces_pending + len(self._entries) - 1 - self.acknowledged_seq >= self.limits.unflushed_events

    @property
    def is_acknowledged(self) -> bool:
        """Everything added so far is in the log."""
        return not self._pending and self.acknowledged_seq == self._last

    @property
    def log_bytes(self) -> int:
        """About as many bytes of Redis as the attempt takes; meant to be asked once, at its end."""
        return sum(_EVENT_BYTES + len(entry.data) for entry in self._entries)

    @property
    def output_tokens(self) -> int:
        return estimate_output(self._pieces, self._counted_chars)

    def add(self, delta: Delta) -> None:
        """Accept one piece. It joins the pending piece before it if that changes nothing for the reader. Raises
        `OutputTooLarge`."""
        text = _text(delta)
        size_bytes = _size_bytes(text)
        if size_bytes <= self.limits.max_event_bytes:
            self._add(delta, text, size_bytes)
            return
        for piece in _split(delta, self.limits.max_event_bytes):
            text = _text(piece)
            self._add(piece, text, _size_bytes(text))

    def _add(self, piece: Delta, text: str, size_bytes: int) -> None:
        self._bytes += size_bytes + _named_bytes(piece)
        if self._bytes > self.limits.max_output_bytes:
            raise OutputTooLarge
        size = len(text)
        self._pieces += 1
        self._pieces_pending += 1
        self._counted_chars += size
        if isinstance(piece, Token):
            self.chars += size - self._completes_a_character(text)
        last = self._pending[-1] if self._pending else None
        if last is None or not last.join(piece, text, size_bytes, self.limits.max_event_bytes):
            last = _Pending(piece, text, size_bytes)
            self._pending.append(last)
        last.chars, last.tokens = self.chars, self.output_tokens

    def add_whole(self, event: Whole) -> None:
        """Accept an event that is never split, whatever its size. Raises `OutputTooLarge`."""
        data = encode(event)
        self._bytes += len(data)
        if self._bytes > self.limits.max_output_bytes:
            raise OutputTooLarge
        self._seal()
        self._entries.append(Entry(event.type, data, self.chars, self.output_tokens))

    def add_json(self, step: Json) -> None:
        """Accept one step of a JSON value as it is. It repeats what is in the text, so it counts as a piece that waits
        and not as output; the caller bounds the bytes of all steps."""
        self._pieces_pending += 1
        pending = _Pending(step, "", 0)
        pending.chars, pending.tokens = self.chars, self.output_tokens
        self._pending.append(pending)

    def close(self, terminal: Terminal) -> None:
        """Accept the last event. Its totals must include itself (`events_with_terminal`)."""
        self._seal()
        self._entries.append(Entry(terminal.type, encode(terminal), self.chars, self.output_tokens))
        self._terminal = terminal.type
        self.closed = True

    def events_with_terminal(self) -> int:
        """How many entries the attempt has in the log if it is closed now."""
        self._seal()
        return len(self._entries) + 1

    def next_batch(self) -> Batch | None:
        """What to append next; None when everything is acknowledged. Asking again gives the same events."""
        self._seal()
        first = self.acknowledged_seq + 1
        end, size = first, 0
        while end < len(self._entries) and end - first < MAX_CALL_EVENTS and size < _BATCH_BYTES:
            size += len(self._entries[end].data)
            end += 1
        if self._terminal and end == len(self._entries) and end - first > 1:
            # The terminal goes alone: it alone may pass when Redis is full (R11).
            end -= 1
        if end == first:
            return None
        entries = self._entries[first:end]
        terminal = self._terminal if end == len(self._entries) else None
        return Batch(self.generation_id, self.epoch, first, entries, terminal)

    def acknowledge(self, seq: int) -> None:
        """The log holds everything up to `seq`. A lower seq than before means that it lost its tail."""
        self.acknowledged_seq = min(seq, self._last)

    def _completes_a_character(self, text: str) -> bool:
        """Whether this text begins with the second half of a character whose first half came last. Providers tear
        emoji apart, and readers who join the text count one code point, not two."""
        completes = self._is_torn and "\udc00" <= text[0] <= "\udfff" if text else False
        if text:
            self._is_torn = "\ud800" <= text[-1] <= "\udbff"
        return completes

    @property
    def _last(self) -> int:
        return len(self._entries) - 1

    def _seal(self) -> None:
        for pending in self._pending:
            self._entries.append(Entry(pending.delta.type, encode(pending.joined()), pending.chars, pending.tokens))
        self._pending.clear()
        self._pieces_pending = 0


class _Pending:
    """Pieces that will be one event, with the attempt's totals at its end."""

    __slots__ = ("_parts", "_size_bytes", "chars", "delta", "tokens")

    def __init__(self, delta: Delta | Json, text: str, size_bytes: int) -> None:
        self.delta = delta
        self.chars = 0
        self.tokens = 0
        self._parts = [text]
        self._size_bytes = size_bytes

    def join(self, piece: Delta, text: str, size_bytes: int, limit: int) -> bool:
        """Take the piece in if that changes nothing for the reader; whether it was taken."""
        size_bytes += self._size_bytes
        mine = self.delta
        if type(piece) is not type(mine) or size_bytes > limit:
            return False
        if (
            isinstance(piece, ToolCall)
            and isinstance(mine, ToolCall)
            and (piece.index != mine.index or piece.id or piece.name)
        ):
            return False
        self._parts.append(text)
        self._size_bytes = size_bytes
        return True

    def joined(self) -> Delta | Json:
        if isinstance(self.delta, Json) or len(self._parts) == 1:
            return self.delta
        return _with_text(self.delta, "".join(self._parts))


def _text(delta: Delta) -> str:
    return delta.arguments if isinstance(delta, ToolCall) else delta.text


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _named_bytes(delta: Delta) -> int:
    """Bytes of the id and the name, which the provider chooses as well."""
    return _size_bytes((delta.id or "") + (delta.name or "")) if isinstance(delta, ToolCall) else 0


def _with_text(delta: Delta, text: str) -> Delta:
    match delta:
        case ToolCall():
            return replace(delta, arguments=text)
        case Token() | Reasoning() | Refusal():
            return replace(delta, text=text)


def _split(delta: Delta, limit: int) -> Iterator[Delta]:
    """Pieces of at most `limit` bytes of UTF-8 each, cut between code points."""
    text = _text(delta)
    step = max(1, limit // 4)
    for start in range(0, len(text), step):
        piece = _with_text(delta, text[start : start + step])
        # Only the first piece of a tool call carries its id and name.
        yield replace(piece, id=None, name=None) if isinstance(piece, ToolCall) and start else piece
