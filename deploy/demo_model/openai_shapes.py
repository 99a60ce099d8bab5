"""Owns the shapes of OpenAI's wire: chunks, whole completions, errors, the list of models.

Pure, except for the date of a completion. Only the delta of a chunk is encoded: the rest of a chunk is the
same bytes for the whole stream, and encoding it for each delta would be the main work of a busy server.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson

from outlive.deploy.demo_model.model_options import MODEL, NO_REASON, Refused
from outlive.deploy.demo_model.quirks.chunk_rewrites import DONE
from outlive.deploy.demo_model.script import Call, Delta, Finish, Say

_FINGERPRINT: Final = "fp_demo"
_ERROR_TYPES: Final = {404: "not_found_error", 429: "rate_limit_error", 500: "server_error"}


def encode(value: Any) -> bytes:
    """JSON. A prompt may hold lone surrogates, which only escapes can express."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


class Chunks:
    """The frames of one streamed completion."""

    def __init__(self, completion_id: str, model: str, *, include_usage: bool) -> None:
        head = _head(completion_id, model, "chat.completion.chunk")
        self._include_usage = include_usage
        self._head = b"data: " + encode(head)[:-1] + b',"choices":['
        self._delta = self._head + b'{"index":0,"delta":'
        # OpenAI puts a null usage on every chunk but the last.
        self._end = b"]" + (b',"usage":null' if include_usage else b"") + b"}\n\n"
        self._delta_end = b',"logprobs":null,"finish_reason":null}' + self._end
        self._content = self._delta + b'{"content":'
        self._content_end = b"}" + self._delta_end

    def first(self) -> bytes:
        """The frame with the role."""
        return self._of({"role": "assistant", "content": "", "refusal": None})

    def delta(self, delta: Delta) -> bytes:
        """The frame of one delta."""
        if isinstance(delta, Say):
            if delta.kind == "content":
                return self._content + encode(delta.text) + self._content_end
            return self._of({delta.kind: delta.text})
        return self._of({"tool_calls": [call_piece(delta)]})

    def finish(self, finish: Finish) -> bytes:
        """The frames after the last delta, `[DONE]` included."""
        if finish.reason == NO_REASON:
            return b""
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish.reason}
        frames = self._head + encode(choice) + self._end
        if self._include_usage:
            frames += self._head + b'],"usage":' + encode(usage(finish)) + b"}\n\n"
        return frames + DONE

    def _of(self, delta: Mapping[str, Any]) -> bytes:
        return self._delta + encode(delta) + self._delta_end


class Whole:
    """One completion that is not streamed: collects the deltas of the same script."""

    def __init__(self, completion_id: str, model: str, *, with_usage: bool) -> None:
        self._head = _head(completion_id, model, "chat.completion")
        self._with_usage = with_usage
        self._texts: dict[str, list[str]] = {}
        self._calls: list[tuple[Call, list[str]]] = []

    def add(self, delta: Delta) -> None:
        """Add one delta."""
        if isinstance(delta, Say):
            self._texts.setdefault(delta.kind, []).append(delta.text)
        elif delta.id is not None:
            self._calls.append((delta, []))
        elif delta.index is not None:
            self._calls[delta.index][1].append(delta.arguments)

    def finish(self, finish: Finish) -> bytes:
        """The body."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        message |= {kind: "".join(texts) for kind, texts in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [_whole_call(call, "".join(parts)) for call, parts in self._calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish.reason}
        body = self._head | {"choices": [choice]}
        return encode(body | {"usage": usage(finish)} if self._with_usage else body)


def usage(finish: Finish) -> dict[str, Any]:
    """The usage: one token per delta."""
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.completion_tokens,
        "total_tokens": finish.prompt_tokens + finish.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": finish.reasoning_tokens},
    }


def error(refused: Refused) -> bytes:
    """The body of a response other than 200."""
    kind = _ERROR_TYPES.get(refused.status, "invalid_request_error")
    fields = {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}
    return encode({"error": fields})


def models() -> bytes:
    """The list of the one model."""
    return encode({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "outlive"}]})


def _head(completion_id: str, model: str, kind: str) -> dict[str, Any]:
    return {
        "id": completion_id,
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": _FINGERPRINT,
    }


def call_piece(call: Call) -> dict[str, Any]:
    """One entry of `tool_calls` in a delta."""
    position = {} if call.index is None else {"index": call.index}
    if call.id is not None:
        return position | _whole_call(call, call.arguments)
    name = {} if call.name is None else {"name": call.name}
    return position | {"function": name | {"arguments": call.arguments}}


def _whole_call(call: Call, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
