"""How our client reads bytes, compared with the tests' own parser of the specification."""

import base64
import random
from typing import Any, Final

import pytest

from tests.support import javascript
from tests.support.sse import Parser

pytestmark = pytest.mark.anyio

_LINES: Final = [
    b'data: {"text":',
    b"data:  two spaces",
    b"data:no space",
    b"data: one\x00nul",
    "data: \u2028\u0085 \U0001f30a é 漢".encode(),
    b"data: \xff\xfe",
    b"data",
    b"data:",
    b"event: token",
    b"event:token",
    b"event",
    b"id: 12-3",
    b"id: 12\x00-4",
    b"id:13-0",
    b": comment",
    b":",
    b"retry: 250",
    b"retry: soon",
    b"retry: 1\x00",
    b"nonsense",
    b"x: y",
    b" data: indented",
    b"Data: capital",
    b"",
    b"",
    b"",
]
STREAMS: Final = 400


def stream_of(chance: random.Random) -> bytes:
    """Lines in any order, each with one of the three line ends, often after a byte order mark."""
    ends = chance.choice([[b"\n"], [b"\r"], [b"\r\n"], [b"\n", b"\r", b"\r\n"]])
    lines = [chance.choice(_LINES) + chance.choice(ends) for _ in range(chance.randint(1, 30))]
    return (b"\xef\xbb\xbf" if chance.random() < 0.5 else b"") + b"".join(lines)


def cut(chance: random.Random, stream: bytes) -> list[bytes]:
    """Split anywhere: inside a character, between CR and LF, inside the mark."""
    pieces = []
    while stream:
        size = chance.randint(1, chance.choice([1, 3, 50]))
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def expected(stream: bytes) -> dict[str, Any]:
    parser = Parser()
    frames = parser.feed(stream)
    return {"events": [(f.id, f.event, f.text) for f in frames], "retryMs": parser.retry_ms}


async def test_any_stream_cut_anywhere_gives_what_the_specification_says() -> None:
    """CR, LF, CRLF, BOM, comments, `retry`, ids with NUL, bad UTF-8."""
    chance = random.Random(6)
    streams = [stream_of(chance) for _ in range(STREAMS)]
    pieces = [[base64.b64encode(piece).decode() for piece in cut(chance, stream)] for stream in streams]
    read = await javascript.run("parse.mjs", pieces)

    for stream, result in zip(streams, read, strict=True):
        events = [(event["id"], event["type"], event["data"]) for event in result["events"]]
        assert {"events": events, "retryMs": result["retryMs"]} == expected(stream), stream
