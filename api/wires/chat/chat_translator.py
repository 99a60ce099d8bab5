"""Owns a log told as Chat Completions chunks.

Pure. A chunk's SSE id is the last event that was told in full, so the last of an event's frames
carries that event's id and those before it the one before. What was said cannot be taken back on
this wire: a new attempt after it is told as an error, and nothing after that.
"""

from collections.abc import Sequence
from typing import Any, Final

from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_ids import CHAT, named
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, encode_json
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import EventType

_DELTAS: Final = {
    EventType.TOKEN.value.encode(): b'{"content":',
    EventType.REASONING.value.encode(): b'{"reasoning_content":',
    EventType.REFUSAL.value.encode(): b'{"refusal":',
}
_QUEUED: Final = EventType.QUEUED.value.encode()
_ATTEMPT: Final = EventType.ATTEMPT.value.encode()
_TOOL_CALL: Final = EventType.TOOL_CALL.value.encode()
_COMPLETED: Final = EventType.COMPLETED.value.encode()
_FAILED: Final = EventType.FAILED.value.encode()
_CANCELLED: Final = EventType.CANCELLED.value.encode()

_ROLE: Final = b'{"role":"assistant","content":"","refusal":null}'
_DONE: Final = b"[DONE]"


class ChatTranslator:
    """`include_usage` as the request's `stream_options` has it."""

    def __init__(self, *, include_usage: bool) -> None:
        self.is_over = False
        self._include_usage = include_usage
        self._usage = b',"usage":null}' if include_usage else b"}"
        self._head = b""
        self._begun = False
        self._said = False
        self._before = START

    def tell(self, event: Logged) -> Sequence[bytes]:
        """The frames of one event."""
        if self.is_over:
            return ()
        key = _DELTAS.get(event.type)
        if key is not None:
            # By far the most events: the rest of this class is not asked.
            self._said = True
            self._before = event.cursor
            delta = key + encode_json(decode_json(event.data)["text"]) + b"}"
            return (_frame(event.cursor, self._chunk(delta)),)
        told = self._bodies(event)
        before, self._before = self._before, event.cursor
        return [*(_frame(before, body) for body in told[:-1]), *(_frame(event.cursor, body) for body in told[-1:])]

    def _bodies(self, event: Logged) -> list[bytes]:
        data: dict[str, Any] = decode_json(event.data)
        if event.type == _QUEUED:
            self._head = encode_json(_head_of(data))[:-1] + b',"choices":['
        elif event.type == _ATTEMPT:
            return self._attempt()
        elif event.type == _TOOL_CALL:
            self._said = True
            return [self._chunk(encode_json({"tool_calls": [_piece(data)]}))]
        elif event.type == _COMPLETED:
            return self._completed(data)
        elif event.type == _FAILED:
            return [encode_json(openai_errors.failed(data))]
        elif event.type == _CANCELLED:
            return [encode_json(openai_errors.cancelled())]
        return []

    def _attempt(self) -> list[bytes]:
        if self._said:
            self.is_over = True
            return [encode_json(openai_errors.failure(502, "new_attempt", _TAKEN_BACK))]
        begun, self._begun = self._begun, True
        return [] if begun else [self._chunk(_ROLE)]

    def _completed(self, data: dict[str, Any]) -> list[bytes]:
        told = [self._chunk(b"{}", encode_json(data["finish_reason"]))]
        if self._include_usage:
            told.append(self._head + b'],"usage":' + encode_json(data["usage"]) + b"}")
        return [*told, _DONE]

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish_reason)
        return self._head + choice + b"]" + self._usage


_TAKEN_BACK: Final = (
    "The answer began anew after it had been told in part, which cannot be taken back here; "
    "read all of it, or watch the generation's events."
)


def _head_of(queued: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": named(CHAT, queued["id"]),
        "object": "chat.completion.chunk",
        "created": int(queued["created_at"]),
        "model": queued["model"],
    }


def _piece(data: dict[str, Any]) -> dict[str, Any]:
    arguments = {"arguments": data["arguments"]}
    if data.get("id") is None:
        return {"index": data["index"], "function": arguments}
    function = {"name": data.get("name")} | arguments
    return {"index": data["index"], "id": data["id"], "type": "function", "function": function}


def _frame(cursor: Cursor, body: bytes) -> bytes:
    return b"id: %d-%d\ndata: %b\n\n" % (cursor.epoch, cursor.seq, body)
