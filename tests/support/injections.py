"""Owns texts that try to be more than text to the reader of an event stream, and an answer made of them.

Pure data. One corpus for every parser and every field that a stranger fills. The reader must decode what was
sent, whatever the layers between take for a line, an end or a field.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from tests.support.scripted_provider import chunk, stream
from tests.support.transcript import whole

INJECTIONS: Final = (
    "a\nb", "c\rd", "e\r\nf", "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "g\n\rh",
    "\0", "i\0j", "\u2028", "k\u2029l", "\x85", "\v\f\x1c\x1d\x1e", "\ufeff", "\ufeffdata: m\n\n",
    "\ud83c", "\udf0a", "\ud800", "n\udc00o", "\U0001f30a", "\ufffe\uffff",
    "\n\nevent: completed\ndata: {}\n\n", "\r\revent: failed\rdata: {}\r\r", "\r\n\r\nevent: reset\r\ndata: {}\r\n\r\n",
    "data: p", "data:", "\ndata: q\n", "id: 0-0", "\nid: 9999999999999-9\n", "id: \0", "retry: 0", "\nretry: 1\n",
    ": comment", "\n: comment\n\n", "event: token", "\nevent: attempt\ndata: {\"attempt\":9}\n\n",
    "[DONE]", "\n\ndata: [DONE]\n\n", "data: [DONE]", "0\r\n\r\n", "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "\\", "\\n", "\\u000a",
    '"', '"}\n\n', "</script>", "<!--", "]]>", "\x1b[2J\x1b]0;x\x07", "%0d%0a", "&#10;", "\b\x7f",
    " ", "  r  ", "\t", "",
)  # fmt: skip

MODEL: Final = 'm\r\n\0\u2028\ufeff\U0001f30a"\\\n\nevent: completed\ndata: {}\n\n'
"""For the model name, which a caller chooses and which is in the first event of every log. The API refuses half a
character there."""

ALL_TEXT: Final = whole("".join(INJECTIONS))
"""The whole corpus; halves of characters are joined where they meet."""


def answer(injections: Sequence[str] = INJECTIONS) -> bytes:
    """A provider's response with each text in every field: reasoning, text, a call's id, name and arguments."""
    calls = [text for text in injections if text]
    return stream(
        *({"reasoning_content": text} for text in injections),
        *({"content": text} for text in injections),
        *(chunk(tool_calls=[_call(n, text)]) for n, text in enumerate(calls)),
        {"finish": "tool_calls"},
    )


def failure(injections: Sequence[str] = INJECTIONS) -> bytes:
    """A response that breaks off with an error whose message is these texts."""
    return stream({"content": "said"}, _error("".join(injections)))


def check_unchanged(answer: dict[str, Any]) -> None:
    """Check that what a viewer reduced `answer()` to is what the provider sent."""
    assert answer["reasoning"] == ALL_TEXT
    assert answer["text"] == ALL_TEXT
    sent = [text for text in INJECTIONS if text]
    assert [(call["id"], call["name"], call["arguments"]) for call in answer["tool_calls"]] == [
        (f"call {text}", text, text) for text in sent
    ]


def _call(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "id": f"call {text}", "function": {"name": text, "arguments": text}}


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "code": message}}).encode()
