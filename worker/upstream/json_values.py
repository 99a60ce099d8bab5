"""Owns the way from any JSON value that a provider puts where text belongs to pieces of an answer.

Pure. Providers send numbers for tokens that look like numbers, lists of typed parts, and objects that hold the text.
Whatever comes, no scalar of it is lost: it becomes text, or it is handed back as a part that is not text
(an image, a reference), which belongs to the provider.
"""

from collections.abc import Callable
from typing import Any, Final

from outlive.shared.model.codec import encode_json
from outlive.shared.model.events import Reasoning, Refusal, Token

Text = Token | Reasoning | Refusal
TextType = type[Token] | type[Reasoning] | type[Refusal]

_TEXT_PARTS: Final = frozenset({"text", "output_text", "input_text"})
_REASONING_PARTS: Final = frozenset({
    "thinking", "reasoning", "reasoning_text", "reasoning_content", "summary_text",
    "reasoning.text", "reasoning.summary", "thought",
})  # fmt: skip
_REFUSAL_PARTS: Final = frozenset({"refusal"})
_TEXT_MEMBERS: Final = ("text", "thinking", "reasoning", "content", "summary", "refusal")
"""Where a part keeps its text, in the order in which they are asked."""
_MAX_DEPTH: Final = 16
"""Deeper values are written as JSON: no provider nests text so far, and Python's stack is not the provider's."""


def literal(value: Any) -> str:
    """A scalar, or anything else, as its JSON; a string as it is; nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value).decode()


def pieces_of_value(value: Any, kind: TextType, keep: Callable[[Any], None]) -> list[Text]:
    """The pieces that `value` holds, in order; plain text in it is of this `kind`. `keep` takes each part that is
    not text."""
    pieces: list[Text] = []
    _read(value, kind, keep, pieces, _MAX_DEPTH)
    return pieces


def _read(value: Any, kind: TextType, keep: Callable[[Any], None], pieces: list[Text], depth: int) -> None:
    if isinstance(value, list) and depth:
        for part in value:
            _read(part, kind, keep, pieces, depth - 1)
    elif isinstance(value, dict) and depth:
        _read_part(value, kind, keep, pieces, depth - 1)
    elif text := literal(value):
        pieces.append(kind(text))


def _read_part(
    part: dict[str, Any], kind: TextType, keep: Callable[[Any], None], pieces: list[Text], depth: int
) -> None:
    name = part.get("type")
    member = next((one for one in _TEXT_MEMBERS if part.get(one) not in (None, "", [])), None)
    typed = _kind_of(name, kind) if isinstance(name, str) else kind
    if member is not None and typed is not None:
        _read(part[member], typed, keep, pieces, depth)
        if not part.keys() <= {member, "type", "index"}:
            # A signature beside the thought that it signs.
            keep({other: value for other, value in part.items() if other != member})
    elif part and kind is Token and not isinstance(name, str):
        # The answer itself, sent as the value it describes instead of as text.
        pieces.append(Token(literal(part)))
    elif part:
        keep(part)


def is_text_part(part: Any) -> bool:
    """Whether a kept part belongs to text that was read, so that it is not an answer that was not understood."""
    name = part.get("type") if isinstance(part, dict) else None
    return not isinstance(name, str) or _kind_of(name, Token) is not None


def _kind_of(name: str, kind: TextType) -> TextType | None:
    if name in _TEXT_PARTS:
        return kind
    if name in _REASONING_PARTS:
        return Reasoning
    return Refusal if name in _REFUSAL_PARTS else None
