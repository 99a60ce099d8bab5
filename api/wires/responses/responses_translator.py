"""Owns the translation of a log into the stream events of the Responses API.

Pure. Every stream event has the next number, from 0 without a hole, and its SSE id is that number. Stream events are
never folded, so the same number is the same event on every replica, at any time. The items: `output_items.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from outlive.api.formats.format import Head
from outlive.api.wires.openai.openai_ids import RESPONSE, named
from outlive.api.wires.responses.output_items import REASONING, REFUSAL, TEXT, ItemStatus, Output, StreamEvent
from outlive.api.wires.responses.response_fields import asked, error_of, usage_of
from outlive.api.wires.responses.sealed_state import seal
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, encode_json
from outlive.shared.model.events import EventType, type_of_bytes
from outlive.shared.model.generation import ID_PREFIX

_TEXT_KINDS: Final = {EventType.TOKEN: TEXT, EventType.REASONING: REASONING, EventType.REFUSAL: REFUSAL}

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reason of an answer that is not whole -> the reason in `incomplete_details`."""


class ResponsesTranslator:
    """`response` is the response so far, in the shape that is also sent when it is asked for by itself."""

    is_over = False

    def __init__(self, head: Head) -> None:
        self._asked = asked(head)
        self._state: dict[str, Any] = {"status": "queued"}
        self._output = Output("")
        self._number = 0
        self._has_begun = False
        self._turn_calls: dict[str, dict[str, Any]] = {}
        """The calls of the turn that runs, with what only the provider understands of each."""
        self.failed: dict[str, Any] | None = None
        """The terminal, if it says that the answer failed."""

    @property
    def response(self) -> dict[str, Any]:
        return self._asked | self._state | {"output": self._output.items()}

    def translate(self, event: Logged) -> Sequence[bytes]:
        """The frames of one event."""
        kind = type_of_bytes.get(event.type)
        if kind is None or kind is EventType.JSON:
            return ()
        data: dict[str, Any] = decode_json(event.data)
        text_kind = _TEXT_KINDS.get(kind)
        if text_kind is not None:
            return self._numbered(self._output.add_text(text_kind, data["text"]))
        return self._numbered(self._stream_events(kind, data))

    def _numbered(self, stream_events: Iterable[StreamEvent]) -> list[bytes]:
        frames = []
        for kind, fields in stream_events:
            body = encode_json({"type": kind, "sequence_number": self._number} | fields)
            frames.append(b"id: %d\nevent: %b\ndata: %b\n\n" % (self._number, kind.encode(), body))
            self._number += 1
        return frames

    def _stream_events(self, kind: EventType, data: dict[str, Any]) -> Iterator[StreamEvent]:
        match kind:
            case EventType.QUEUED:
                yield from self._queued(data)
            case EventType.ATTEMPT:
                yield from self._attempt()
            case EventType.TOOL_CALL:
                yield from self._output.add_call(data["index"], data.get("id"), data.get("name"), data["arguments"])
            case EventType.TOOL_CALL_DONE:
                self._turn_calls[data["id"]] = data.get("provider") or {}
                yield from self._output.end_call(data["index"])
            case EventType.TURN:
                yield from self._turn(data.get("provider") or {})
            case EventType.TOOL_RESULT:
                error = data.get("error")
                yield from self._output.add_result(data["id"], data["content"] if error is None else f"Error: {error}")
            case EventType.COMPLETED:
                yield from self._completed(data)
            case EventType.FAILED:
                yield from self._ended("failed", "failed", data, error=error_of(data))
                self.failed = data
            case EventType.CANCELLED:
                # The SDKs have no event for it; the response inside this one says it.
                yield from self._ended("incomplete", "cancelled", data)

    def _queued(self, data: dict[str, Any]) -> Iterator[StreamEvent]:
        self._asked |= {
            "id": named(RESPONSE, data["id"]),
            "created_at": data["created_at"],
            "model": data["model"],
        }
        self._output = Output(data["id"].removeprefix(ID_PREFIX))
        yield self._lifecycle("created")
        yield self._lifecycle("queued")

    def _attempt(self) -> Iterator[StreamEvent]:
        if self._has_begun:
            yield from self._output.forget()
            return
        self._has_begun = True
        self._state = {"status": "in_progress"}
        yield self._lifecycle("in_progress")

    def _turn(self, provider: dict[str, Any]) -> Iterator[StreamEvent]:
        """State that the provider wants back goes into a reasoning item behind the calls that it belongs to."""
        calls, self._turn_calls = self._turn_calls, {}
        state = {"message": provider.get("message"), "calls": {name: each for name, each in calls.items() if each}}
        if calls:
            # Reasoning goes back only beside calls: some providers refuse it elsewhere.
            state["reasoning_as"] = provider.get("reasoning_as")
        if state := {name: value for name, value in state.items() if value}:
            yield from self._output.add_state(seal(state))

    def _completed(self, data: dict[str, Any]) -> Iterator[StreamEvent]:
        reason = _INCOMPLETE.get(data["finish_reason"])
        if reason is None:
            return self._ended("completed", "completed", data, items="completed")
        return self._ended("incomplete", "incomplete", data, incomplete_details={"reason": reason})

    def _ended(
        self, event: str, status: str, data: dict[str, Any], *, items: ItemStatus = "incomplete", **more: Any
    ) -> Iterator[StreamEvent]:
        yield from self._output.end(items)
        self._state = {"status": status, "usage": usage_of(data["usage"]), **more}
        yield self._lifecycle(event)

    def _lifecycle(self, event: str) -> StreamEvent:
        return StreamEvent(f"response.{event}", {"response": self.response})
