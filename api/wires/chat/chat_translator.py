"""Owns the translation of a log into Chat Completions chunks.

Pure. A chunk's SSE id is the last event that was sent whole: the last frame of an event carries that event's id, the
frames before it carry the id of the event before. Clients of this format cannot take back text: if a new attempt
begins after the first text, an error is sent, and nothing after it.
"""

from collections.abc import Sequence
from typing import Any, Final

from outlive.api.wires.openai import openai_errors
from outlive.api.wires.openai.openai_ids import CHAT, named
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, encode_json
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import EventType, type_of_bytes

_DELTAS: Final = {
    EventType.TOKEN.value.encode(): b'{"content":',
    EventType.REASONING.value.encode(): b'{"reasoning_content":',
    EventType.REFUSAL.value.encode(): b'{"refusal":',
}
"""The most frequent types, as a log holds them -> the beginning of their delta."""

_CHUNK_MEMBERS: Final = frozenset({"id", "object", "created", "model", "choices", "usage"})
_ROLE: Final = b'{"role":"assistant","content":"","refusal":null}'
_DONE: Final = b"[DONE]"


class ChatTranslator:
    """`include_usage` as in the request's `stream_options`."""

    def __init__(self, *, include_usage: bool) -> None:
        self.is_over = False
        self._include_usage = include_usage
        self._usage = b',"usage":null}' if include_usage else b"}"
        self._head = b""
        self._has_role = False
        self._has_output = False
        self._before = START
        """The last event that was sent whole."""

    def translate(self, event: Logged) -> Sequence[bytes]:
        """The frames of one event."""
        if self.is_over:
            return ()
        key = _DELTAS.get(event.type)
        if key is not None:
            # By far the most events: they skip the rest of this class.
            self._has_output = True
            self._before = event.cursor
            delta = key + encode_json(decode_json(event.data)["text"]) + b"}"
            return (_frame(event.cursor, self._chunk(delta)),)
        bodies = self._bodies(event)
        before, self._before = self._before, event.cursor
        return [*(_frame(before, body) for body in bodies[:-1]), *(_frame(event.cursor, body) for body in bodies[-1:])]

    def _bodies(self, event: Logged) -> list[bytes]:
        data: dict[str, Any] = decode_json(event.data)
        match type_of_bytes.get(event.type):
            case EventType.QUEUED:
                self._head = encode_json(_head_of(data))[:-1] + b',"choices":['
            case EventType.ATTEMPT:
                return self._attempt()
            case EventType.TOOL_CALL:
                self._has_output = True
                return [self._chunk(encode_json({"tool_calls": [_piece(data)]}))]
            case EventType.TOOL_CALL_DONE:
                # Opaque members of a call, such as a signature, which its provider wants back.
                provider = data.get("provider")
                return (
                    [self._chunk(encode_json({"tool_calls": [provider | {"index": data["index"]}]}))]
                    if provider
                    else []
                )
            case EventType.TURN:
                return self._turn(data.get("provider") or {})
            case EventType.COMPLETED:
                return self._completed(data)
            case EventType.FAILED:
                return [encode_json(openai_errors.failed(data))]
            case EventType.CANCELLED:
                return [encode_json(openai_errors.cancelled())]
        return []

    def _attempt(self) -> list[bytes]:
        if self._has_output:
            self.is_over = True
            return [encode_json(openai_errors.failure(502, "new_attempt", _NEW_ATTEMPT))]
        had_role, self._has_role = self._has_role, True
        return [] if had_role else [self._chunk(_ROLE)]

    def _turn(self, provider: dict[str, Any]) -> list[bytes]:
        """What only the provider understands of a turn, under its own names: members of the message as a delta, members
        beside it in the chunk."""
        message, response = provider.get("message"), provider.get("response")
        bodies = [self._chunk(encode_json(message))] if message else []
        if response:
            beside = {name: value for name, value in response.items() if name not in _CHUNK_MEMBERS}
            if beside:
                bodies.append(self._chunk(b"{}")[:-1] + b"," + encode_json(beside)[1:])
        return bodies

    def _completed(self, data: dict[str, Any]) -> list[bytes]:
        bodies = [self._chunk(b"{}", encode_json(data["finish_reason"]))]
        if self._include_usage:
            bodies.append(self._head + b'],"usage":' + encode_json(data["usage"]) + b"}")
        return [*bodies, _DONE]

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish_reason)
        return self._head + choice + b"]" + self._usage


_NEW_ATTEMPT: Final = (
    "The answer began anew after part of it was sent, and this API cannot take back what was sent. "
    "Read the whole answer, or watch the generation's events."
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
