"""Owns the meaning of one provider's Chat Completions chunks: which pieces of an answer they hold.

Pure. Tolerant of what compatible servers leave out, add and spell otherwise (R15); a chunk that cannot be
understood raises `UpstreamBroken`. Members that are not understood are kept for the provider. Knows nothing of HTTP.
"""

from dataclasses import dataclass
from typing import Any, Final

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import Reasoning, Refusal, Token, Usage
from outlive.worker.upstream.finish_reasons import read_reason
from outlive.worker.upstream.json_values import is_text_part, literal, pieces_of_value
from outlive.worker.upstream.provider_part import ProviderPart
from outlive.worker.upstream.usage_counts import read_usage

MAX_WORD_BYTES: Final = 4096
"""Of JSON, in a name or a finish reason: they are in events that are not split."""
MAX_ID_BYTES: Final = 65_536
"""Of JSON, in the id of a call: gateways pack the signature of a thought into it, which grows with the thought."""

_WIDEST: Final = 6
"""Bytes of JSON one UTF-16 unit can take."""

REASONING_MEMBERS: Final = (
    "reasoning_content", "reasoning", "reasoning_text", "thinking", "thinking_content", "thought", "thoughts",
)  # fmt: skip
"""The spellings of reasoning among compatible servers. Some send two of them with the same text: the first one
counts."""
_STRUCTURED_REASONING: Final = ("reasoning_details", "thinking_blocks")
"""Opaque, and kept; their text is the reasoning only where no plain spelling has it."""

_DELTA_MEMBERS: Final = frozenset({"role", "content", "refusal", "tool_calls", "function_call", *REASONING_MEMBERS})
_CHUNK_NOISE: Final = frozenset({
    "id", "object", "created", "model", "choices", "usage", "obfuscation", "x_groq", "prompt_filter_results",
    "event_id", "type", "timings", "provider_specific_fields",
})  # fmt: skip
"""Members of a chunk that say nothing about the answer."""
_NOT_AN_ANSWER: Final = frozenset({
    *_STRUCTURED_REASONING, "provider_specific_fields", "extra_content", "annotations", "citations", "reference",
    "signature", "reasoning_opaque", "metadata", "name", "tool_call_id", "refusal", "id", "index",
})  # fmt: skip
"""Opaque members beside an answer. An answer of which only others came was not understood."""
_MAX_UNREAD: Final = 16
_CALL_MEMBERS: Final = frozenset({"index", "id", "type", "function", "custom", "name"})


@dataclass(frozen=True, slots=True)
class Finish:
    """The provider says that the answer is whole, and why it ends here, in its own word."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call as the provider sent it. Which call it belongs to is decided in `tool_calls.py`."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str
    provider: dict[str, Any] | None = None
    """Members of the call that only the provider understands."""
    type: str | None = None
    """`custom` for a call whose input is text instead of JSON."""


Piece = Token | Reasoning | Refusal | CallPiece | Finish | Usage


class ChunkReader:
    """Reads the chunks of one stream, and keeps what it does not understand."""

    def __init__(self) -> None:
        self.message = ProviderPart()
        """Opaque members of the message, which the provider wants back."""
        self.response = ProviderPart()
        """Opaque members beside the message, and parts of the content that are not text."""
        self.reasoning_as: str | None = None
        """The provider's name for reasoning."""
        self.unread: set[str] = set()
        """Names of members that may be the answer itself, in a form that is unknown here."""
        self.served_model: str | None = None
        self._choice: int | None = None

    def pieces_of(self, chunk: dict[str, Any]) -> list[Piece]:
        """The pieces of one decoded chunk, in order. Raises `UpstreamBroken`."""
        try:
            return self._read(chunk)
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise UpstreamBroken(
                "upstream_protocol", "The provider sent a chunk that is not a chat completion chunk."
            ) from error

    def _read(self, chunk: dict[str, Any]) -> list[Piece]:
        pieces: list[Piece] = []
        choices = chunk.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise TypeError
        for choice in choices or ():
            if self._is_ours(choice):
                self._read_choice(choice, pieces)
        groq = chunk.get("x_groq")
        counts = chunk.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
        if (usage := read_usage(counts)) is not None:
            pieces.append(usage)
        self._read_rest(chunk)
        return pieces

    def _is_ours(self, choice: dict[str, Any]) -> bool:
        """One choice is asked for. Servers number it from 0, from 1, or not at all; the first one seen is ours."""
        index = int(choice.get("index") or 0)
        if self._choice is None:
            self._choice = index
        return index == self._choice

    def _read_choice(self, choice: dict[str, Any], pieces: list[Piece]) -> None:
        message = choice.get("delta")
        if message is None:
            # A whole completion has its message here, a completion of the older kind its text.
            message = choice.get("message")
        if message is None and choice.get("text") is not None:
            message = {"content": choice["text"]}
        self._read_delta(message or {}, pieces)
        reason = read_reason(choice.get("finish_reason") or choice.get("finishReason"))
        if reason is not None:
            pieces.append(Finish(_word(reason, MAX_WORD_BYTES) or reason))
        if (usage := read_usage(choice.get("usage"))) is not None:
            pieces.append(usage)

    def _read_delta(self, delta: dict[str, Any], pieces: list[Piece]) -> None:
        name = next((name for name in REASONING_MEMBERS if delta.get(name)), None)
        if name is None:
            reasoning = next((delta[name] for name in _STRUCTURED_REASONING if delta.get(name)), None)
            pieces += pieces_of_value(reasoning, Reasoning, lambda _: None)
        else:
            self.reasoning_as = name
            pieces += pieces_of_value(delta[name], Reasoning, self._keep_reasoning)
        pieces += pieces_of_value(delta.get("content"), Token, self._keep_part)
        pieces += pieces_of_value(delta.get("refusal"), Refusal, self._keep_part)
        calls = delta.get("tool_calls") or ()
        for position, call in enumerate(calls):
            pieces.append(_read_call(call, position if len(calls) > 1 else None))
        if (call := delta.get("function_call")) is not None:
            pieces.append(
                CallPiece(None, None, _word(call.get("name"), MAX_WORD_BYTES), literal(call.get("arguments")))
            )
        if not delta.keys() <= _DELTA_MEMBERS:
            self._read_unknown({name: value for name, value in delta.items() if name not in _DELTA_MEMBERS})

    def _read_unknown(self, members: dict[str, Any]) -> None:
        self.message.merge(members)
        if len(self.unread) < _MAX_UNREAD:
            self.unread |= {name[:64] for name, value in members.items() if value and name not in _NOT_AN_ANSWER}

    def _keep_reasoning(self, part: Any) -> None:
        self.response.merge({"reasoning_parts": [part]})

    def _keep_part(self, part: Any) -> None:
        self.response.merge({"content_parts": [part]})
        if len(self.unread) < _MAX_UNREAD and not is_text_part(part) and part["type"] not in _NOT_AN_ANSWER:
            self.unread.add(part["type"][:64])

    def provider(self) -> dict[str, Any]:
        """What of the turn belongs to the provider, as `Turn.provider` has it."""
        parts = {
            "message": self.message.members(),
            "response": self.response.members(),
            "reasoning_as": self.reasoning_as,
            "left_out": sorted({*self.message.left_out, *self.response.left_out}),
        }
        return {name: part for name, part in parts.items() if part}

    def _read_rest(self, chunk: dict[str, Any]) -> None:
        if self.served_model is None and isinstance(model := chunk.get("model"), str) and model:
            self.served_model = model[:256]
        if not chunk.keys() <= _CHUNK_NOISE:
            self.response.merge({name: value for name, value in chunk.items() if name not in _CHUNK_NOISE})


def _read_call(call: dict[str, Any], position: int | None) -> CallPiece:
    function = call.get("function") or {}
    custom = call.get("custom")
    if isinstance(custom, dict):
        function = {"name": custom.get("name"), "arguments": custom.get("input")}
    index = call.get("index")
    if index is None:
        # Alone it may belong to any call; among others, its position in the list tells it apart from them.
        index = position
    provider = {name: value for name, value in call.items() if name not in _CALL_MEMBERS and value is not None}
    return CallPiece(
        index=None if index is None else int(index),
        id=_word(call.get("id"), MAX_ID_BYTES),
        name=_word(function.get("name"), MAX_WORD_BYTES),
        arguments=literal(function.get("arguments")),
        provider=provider or None,
        type="custom" if isinstance(custom, dict) or call.get("type") == "custom" else None,
    )


def _word(value: Any, max_bytes: int) -> str | None:
    """An id or a name: text or a whole number; None where there is nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TypeError
    if len(value) * _WIDEST > max_bytes and len(encode_json(value)) > max_bytes:
        raise ValueError
    return value
