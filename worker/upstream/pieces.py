"""Owns the meaning of one Chat Completions chunk: which pieces of an answer it holds.

Pure. Tolerant of what compatible servers leave out or add (R15); a chunk that cannot be understood raises
`UpstreamBroken`. Knows nothing of HTTP.
"""

from dataclasses import dataclass
from typing import Any, Final

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import Reasoning, Refusal, Token, Usage

MAX_WORD_BYTES: Final = 4096
"""Of JSON, in an id, a name or a finish reason: such events are not split. Gateways pack a signature into an id."""

_MAX_UNIT_BYTES: Final = 6
"""One UTF-16 unit can take so many bytes of JSON."""

_MAX_COUNT: Final = 2**53 - 1
"""Above it JSON parsers disagree about a number's value."""

_MAX_DETAILS: Final = 16


@dataclass(frozen=True, slots=True)
class Finish:
    """The provider says that the answer is complete, and why it ends here."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call as the provider sent it; `tool_calls.py` decides which call it belongs to."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str


Piece = Token | Reasoning | Refusal | CallPiece | Finish | Usage


def pieces_of(chunk: Any) -> list[Piece]:
    """The pieces of one decoded chunk, in order. Raises `UpstreamBroken`."""
    try:
        return _read(chunk)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UpstreamBroken(
            "upstream_protocol", "The provider sent a chunk that is not a chat completion chunk."
        ) from error


def _read(chunk: Any) -> list[Piece]:
    if not isinstance(chunk, dict) or not ("choices" in chunk or "usage" in chunk):
        raise ValueError
    pieces: list[Piece] = []
    for choice in chunk.get("choices") or ():
        # Only the first choice: a request for more is refused at create.
        if (choice.get("index") or 0) != 0:
            continue
        _read_delta(choice.get("delta") or {}, pieces)
        if reason := choice.get("finish_reason"):
            pieces.append(Finish(_word(reason)))
    if usage := chunk.get("usage"):
        pieces.append(_read_usage(usage))
    return pieces


def _read_delta(delta: dict[str, Any], pieces: list[Piece]) -> None:
    # Two spellings among compatible servers: DeepSeek's and vLLM's, then OpenRouter's.
    if text := delta.get("reasoning_content") or delta.get("reasoning"):
        pieces.append(Reasoning(_str(text)))
    if text := delta.get("content"):
        pieces.append(Token(_str(text)))
    if text := delta.get("refusal"):
        pieces.append(Refusal(_str(text)))
    calls = delta.get("tool_calls") or ()
    for position, call in enumerate(calls):
        function = call.get("function") or {}
        index = call.get("index")
        if index is None and len(calls) > 1:
            # Alone it may belong to any call; among others, its position tells it from them.
            index = position
        pieces.append(
            CallPiece(
                index=None if index is None else int(index),
                id=_word(call.get("id") or "") or None,
                name=_word(function.get("name") or "") or None,
                arguments=_str(function.get("arguments") or ""),
            )
        )


def _read_usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(usage.get("total_tokens")) or prompt + completion,
        prompt_tokens_details=_counts(usage.get("prompt_tokens_details")),
        completion_tokens_details=_counts(usage.get("completion_tokens_details")),
    )


def _count(value: Any) -> int:
    count = int(value or 0)
    if not 0 <= count <= _MAX_COUNT:
        raise ValueError
    return count


def _counts(details: Any) -> dict[str, Any] | None:
    """The counts among the details; anything else cannot be added up and is dropped."""
    if not isinstance(details, dict):
        return None
    counts = {
        name: value
        for name, value in details.items()
        if type(value) is int and 0 <= value <= _MAX_COUNT and len(name) <= MAX_WORD_BYTES // _MAX_UNIT_BYTES
    }
    return dict(list(counts.items())[:_MAX_DETAILS]) or None


def _word(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _str(value)
    if len(text) * _MAX_UNIT_BYTES > MAX_WORD_BYTES and len(encode_json(text)) > MAX_WORD_BYTES:
        raise ValueError
    return text


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
