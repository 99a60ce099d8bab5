"""What streaming JSON as it grows costs a worker: `python -m tests.bench.json_growth`.

One document at 50 tokens a second. Time is an argument, so that only CPU time is measured:
`worker/json_stream/documents.py` with all its reads of the text and the bytes of its events. Beside it the naive way:
at every token the unfinished text is parsed and the whole value sent again.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

from jiter import from_json

from outlive.shared.model.codec import encode, encode_json
from outlive.shared.model.events import Token
from outlive.worker.json_stream.documents import Documents
from tests.bench.table import print_table

SIZES: Final = (1_000, 10_000, 100_000)
TOKENS_PER_S: Final = 50
_CHARS: Final = 4
AIM: Final = 0.02
_SAMPLES: Final = 1000
"""Tokens at which the naive way is measured; all would take minutes at 100 kB."""

_UNBOUNDED: Final = 1_000_000_000
_REQUEST: Final = {"response_format": {"type": "json_object"}}


def document(size: int) -> str:
    """A document of about so many characters, as people ask models for: records with numbers, texts and lists."""
    lines: list[dict[str, Any]] = []
    length = 0
    while length < size:
        n = len(lines)
        lines.append(
            {
                "id": n,
                "name": f"item {n}",
                "price": n * 1.25,
                "tags": ["new", "blue"],
                "sold": False,
                "note": "sea " * 12,
            }
        )
        length += len(json.dumps(lines[-1])) + 2
    return json.dumps({"items": lines})


def tokens(text: str) -> Iterator[tuple[float, str]]:
    """The pieces, and when each comes."""
    for n, start in enumerate(range(0, len(text), _CHARS)):
        yield n / TOKENS_PER_S, text[start : start + _CHARS]


def growing(text: str) -> tuple[float, int]:
    """CPU seconds and bytes of events for the whole document."""
    began, event_bytes = time.process_time(), 0
    documents = Documents(_REQUEST, max_event_bytes=16_384, max_bytes=_UNBOUNDED)
    for now_s, piece in tokens(text):
        documents.take(Token(piece))
        event_bytes += sum(len(encode(event)) for event in documents.read_due(now_s))
    event_bytes += sum(len(encode(event)) for event in documents.end())
    assert [each.value for each in documents.checkable] == [json.loads(text)]
    return time.process_time() - began, event_bytes


def naive(text: str) -> tuple[float, int]:
    """The same, estimated from evenly spread tokens."""
    ends = range(_CHARS, len(text) + 1, _CHARS)
    sampled = ends[:: max(1, len(ends) // _SAMPLES)]
    data, event_bytes = text.encode(), 0
    began = time.process_time()
    for end in sampled:
        event_bytes += len(encode_json(from_json(data[:end], partial_mode="trailing-strings")))
    scale = len(ends) / len(sampled)
    return (time.process_time() - began) * scale, round(event_bytes * scale)


def main() -> None:
    rows, shares = [], []
    for size in SIZES:
        text = document(size)
        lasts_s = len(text) / _CHARS / TOKENS_PER_S
        for name, way in (("as it grows", growing), ("whole at every token", naive)):
            took_s, event_bytes = way(text)
            share = f"{took_s / lasts_s:.2%}"
            rows.append((f"{len(text) / 1000:.0f} kB, {name}", (share, f"{took_s:.2f}", f"{event_bytes / 1000:,.0f}")))
            if way is growing:
                shares.append(took_s / lasts_s)
    columns = ("share of a core", "CPU s", "kB told")
    print_table(f"JSON of one answer at {TOKENS_PER_S} tokens/s", columns, rows)
    print(f"\nat {SIZES[-1] // 1000} kB: {shares[-1]:.2%} of a core (aim: < {AIM:.0%})")


if __name__ == "__main__":
    main()
