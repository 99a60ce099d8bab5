"""Owns a log told as the stream events of the Responses API.

Pure. Every event has the next number, from 0 without a hole, and its SSE id is that number. They
are never folded, so the same number is the same event on every replica, whoever asks when.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from outlive.api.formats.format import Head
from outlive.api.wires.openai.openai_ids import RESPONSE, named
from outlive.api.wires.responses.output_items import REASONING, REFUSAL, TEXT, ItemStatus, Output, Said
from outlive.api.wires.responses.response_fields import asked, error_of, usage_of
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, encode_json
from outlive.shared.model.events import EventType, type_of_bytes
from outlive.shared.model.generation import ID_PREFIX

_MANNERS: Final = {EventType.TOKEN: TEXT, EventType.REASONING: REASONING, EventType.REFUSAL: REFUSAL}

_CUT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reasons after which an answer is not whole, in the words of `incomplete_details`."""


class ResponsesTranslator:
    """`response` is the response so far, in the shape in which it is also asked for by itself."""

    is_over = False

    def __init__(self, head: Head) -> None:
        self._asked = asked(head)
        self._state: dict[str, Any] = {"status": "queued"}
        self._output = Output("")
        self._number = 0
        self._begun = False
        self.failed: dict[str, Any] | None = None
        """The terminal, if it says that the answer failed."""

    @property
    def response(self) -> dict[str, Any]:
        return self._asked | self._state | {"output": self._output.items()}

    def tell(self, event: Logged) -> Sequence[bytes]:
        """The frames of one event."""
        kind = type_of_bytes.get(event.type)
        if kind is None or kind is EventType.JSON:
            return ()
        data: dict[str, Any] = decode_json(event.data)
        manner = _MANNERS.get(kind)
        said = self._output.speak(manner, data["text"]) if manner is not None else self._said(kind, data)
        return self._numbered(said)

    def _numbered(self, said: Iterable[Said]) -> list[bytes]:
        frames = []
        for kind, fields in said:
            body = encode_json({"type": kind, "sequence_number": self._number} | fields)
            frames.append(b"id: %d\nevent: %b\ndata: %b\n\n" % (self._number, kind.encode(), body))
            self._number += 1
        return frames

    def _said(self, kind: EventType, data: dict[str, Any]) -> Iterator[Said]:
        match kind:
            case EventType.QUEUED:
                yield from self._queued(data)
            case EventType.ATTEMPT:
                yield from self._attempt()
            case EventType.TOOL_CALL:
                yield from self._output.call(data["index"], data.get("id"), data.get("name"), data["arguments"])
            case EventType.TOOL_CALL_DONE:
                yield from self._output.call_is_whole(data["index"])
            case EventType.TOOL_RESULT:
                error = data.get("error")
                yield from self._output.result(data["id"], data["content"] if error is None else f"Error: {error}")
            case EventType.COMPLETED:
                yield from self._completed(data)
            case EventType.FAILED:
                yield from self._ended("failed", "failed", data, error=error_of(data))
                self.failed = data
            case EventType.CANCELLED:
                # There is no event for it in the SDKs; the response in this one says it.
                yield from self._ended("incomplete", "cancelled", data)

    def _queued(self, data: dict[str, Any]) -> Iterator[Said]:
        self._asked |= {
            "id": named(RESPONSE, data["id"]),
            "created_at": data["created_at"],
            "model": data["model"],
        }
        self._output = Output(data["id"].removeprefix(ID_PREFIX))
        yield self._lifecycle("created")
        yield self._lifecycle("queued")

    def _attempt(self) -> Iterator[Said]:
        if self._begun:
            yield from self._output.forget()
            return
        self._begun = True
        self._state = {"status": "in_progress"}
        yield self._lifecycle("in_progress")

    def _completed(self, data: dict[str, Any]) -> Iterator[Said]:
        reason = _CUT.get(data["finish_reason"])
        if reason is None:
            return self._ended("completed", "completed", data, items="completed")
        return self._ended("incomplete", "incomplete", data, incomplete_details={"reason": reason})

    def _ended(
        self, event: str, status: str, data: dict[str, Any], *, items: ItemStatus = "incomplete", **more: Any
    ) -> Iterator[Said]:
        yield from self._output.end(items)
        self._state = {"status": status, "usage": usage_of(data["usage"]), **more}
        yield self._lifecycle(event)

    def _lifecycle(self, event: str) -> Said:
        return Said(f"response.{event}", {"response": self.response})
