"""Owns the quirks of text: the members and values that hold the content and the reasoning of a delta.

Pure; works on chunks. Knows nothing of calls, finish reasons and counts.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import (
    SIGNATURE,
    Delta,
    Item,
    Rewrite,
    behind,
    delta_of,
    each_delta,
    each_text,
    one_by_one,
    reason_of,
    with_delta,
)

_REASONING: Final = "reasoning_content"
_LINK: Final = "https://example.com/sea"
_IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def _has_reasoning(item: Item) -> bool:
    return bool(delta_of(item).get(_REASONING))


def bare(text: Any) -> Any:
    """The number or boolean that this piece looks like, else the piece."""
    if isinstance(text, str):
        with suppress(ValueError):
            value = json.loads(text)
            if isinstance(value, bool | int | float) and json.dumps(value) == text:
                return value
    return text


def _numbers(delta: Delta) -> Delta:
    texts = {name: bare(text) for name, text in delta.items() if name in ("content", _REASONING)}
    calls = [_bare_arguments(piece) for piece in delta.get("tool_calls", ())]
    return delta | texts | ({"tool_calls": calls} if calls else {})


def _bare_arguments(piece: dict[str, Any]) -> dict[str, Any]:
    function = piece.get("function") or {}
    arguments = {"arguments": bare(function["arguments"])} if "arguments" in function else {}
    return piece | {"function": function | arguments}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _content_parts(text: str) -> Delta:
    return {"content": [_text_part(text), {"type": "reference", "reference_ids": [1]}]}


def _both_reasonings(text: str) -> Delta:
    return {"reasoning": text, _REASONING: text}


def _detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _details(*, beside: bool) -> Rewrite:
    """Signatures come behind the thought: the first time in half, and an encrypted one of their own."""
    signatures = (
        {"type": "reasoning.text", "signature": SIGNATURE[:8], "index": 0},
        {"type": "reasoning.text", "signature": SIGNATURE, "index": 0},
        {"type": "reasoning.encrypted", "data": SIGNATURE, "format": "unknown", "index": 1},
    )
    return one_by_one(
        behind(
            _has_reasoning,
            lambda last: [with_delta(last, {"reasoning_details": [signature]}) for signature in signatures],
        ),
        each_text(
            _REASONING,
            lambda text: ({"reasoning": text} if beside else {}) | {"reasoning_details": [_detail(text)]},
        ),
    )


def _block(text: str, *, signature: str | None) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _citations(items: Iterator[Item]) -> Iterator[Item]:
    """Beside the choices of every chunk, and at the end in a delta."""
    citation = {"type": "url_citation", "url_citation": {"url": _LINK, "title": "The sea", "start_index": 0}}
    for item in items:
        if reason_of(item):
            yield with_delta(item, {"annotations": [citation]})
        yield item | {"citations": [_LINK]} if isinstance(item, dict) else item


def _fence(items: Iterator[Item]) -> Iterator[Item]:
    is_open = False
    for item in items:
        if delta_of(item).get("content") and not is_open:
            is_open = True
            yield with_delta(item, {"content": "```json\n"})
        if reason_of(item) and is_open:
            yield with_delta(item, {"content": "\n```"})
        yield item


TEXTS: Final[Mapping[str, Rewrite]] = {
    "numbers": each_delta(_numbers),
    "parts": one_by_one(
        each_text("content", _content_parts),
        each_text(_REASONING, lambda text: {"content": [{"type": "thinking", "thinking": [_text_part(text)]}]}),
    ),
    "summary_parts": one_by_one(
        each_text("content", lambda text: {"content": [_text_part(text)]}),
        each_text(
            _REASONING,
            lambda text: {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}]},
        ),
    ),
    "object_content": each_text("content", lambda text: {"content": _text_part(text)}),
    "object_reasoning": one_by_one(
        each_text(_REASONING, lambda text: {_REASONING: {"text": text}}),
        behind(_has_reasoning, lambda last: [with_delta(last, {_REASONING: {"signature": SIGNATURE}})]),
    ),
    "reasoning": each_text(_REASONING, lambda text: {"reasoning": text}),
    "reasoning_text": each_text(_REASONING, lambda text: {"content": None, "reasoning_text": text}),
    "both_reasonings": each_text(_REASONING, _both_reasonings),
    "details": _details(beside=True),
    "details_only": _details(beside=False),
    # LiteLLM: the text twice, and its signature where the thought ends.
    "thinking_blocks": one_by_one(
        each_text(_REASONING, lambda text: {_REASONING: text, "thinking_blocks": [_block(text, signature=None)]}),
        behind(_has_reasoning, lambda last: [with_delta(last, {"thinking_blocks": [_block("", signature=SIGNATURE)]})]),
    ),
    "images": each_text("content", lambda _: {"content": "", "images": [_IMAGE | {"index": 0}]}),
    "image_parts": each_text("content", lambda text: {"content": [_IMAGE, _text_part(text)]}),
    "unknown_member": each_text("content", lambda text: {"new_kind_of_content": text}),
    "citations": _citations,
    "fence": _fence,
}
