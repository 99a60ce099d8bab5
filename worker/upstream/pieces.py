"""Owns the meaning of one Chat Completions chunk: which pieces of an answer it holds.

Pure. Tolerant of what compatible servers leave out or add (R15); a chunk that cannot be
understood raises `UpstreamBroken`. Knows nothing of HTTP.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.errors import UpstreamBroken
from shared.events import Reasoning, Refusal, Token, Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """The provider says the answer is whole, and why it ends here."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call as the provider sent it: which call it belongs to is `calls.py`'s to say."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str


Piece = Token | Reasoning | Refusal | CallPiece | Finish | Usage


def pieces_of(chunk: Any) -> Iterator[Piece]:
    """The pieces of one decoded chunk, in order. Raises `UpstreamBroken`."""
    try:
        yield from _read(chunk)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UpstreamBroken(
            "upstream_protocol", "The provider sent a chunk that is not a chat completion chunk."
        ) from error


def _read(chunk: Any) -> Iterator[Piece]:
    if not isinstance(chunk, dict) or not ("choices" in chunk or "usage" in chunk):
        raise ValueError
    for choice in chunk.get("choices") or ():
        # Only the first choice: more than one is refused at create.
        if (choice.get("index") or 0) != 0:
            continue
        yield from _read_delta(choice.get("delta") or {})
        if reason := choice.get("finish_reason"):
            yield Finish(str(reason))
    if usage := chunk.get("usage"):
        yield _read_usage(usage)


def _read_delta(delta: dict[str, Any]) -> Iterator[Piece]:
    # Two spellings among compatible servers: DeepSeek's and vLLM's, then OpenRouter's.
    if text := delta.get("reasoning_content") or delta.get("reasoning"):
        yield Reasoning(_str(text))
    if text := delta.get("content"):
        yield Token(_str(text))
    if text := delta.get("refusal"):
        yield Refusal(_str(text))
    calls = delta.get("tool_calls") or ()
    for position, call in enumerate(calls):
        function = call.get("function") or {}
        index = call.get("index")
        if index is None and len(calls) > 1:
            # Alone it may belong to any call; among others, its place tells it from them.
            index = position
        yield CallPiece(
            index=None if index is None else int(index),
            id=call.get("id") or None,
            name=function.get("name") or None,
            arguments=_str(function.get("arguments") or ""),
        )


def _read_usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=int(usage.get("total_tokens") or prompt + completion),
        prompt_tokens_details=usage.get("prompt_tokens_details") or None,
        completion_tokens_details=usage.get("completion_tokens_details") or None,
    )


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
