"""Owns how vectors become files: the logs of `logs.py`, and the byte streams that the API's encoder makes of them.

    python -m tests.vectors.make

Run it once after a vector was added, and look at what it wrote: from then on the files are the law, and
tests/unit/test_vectors.py holds the encoder to them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from outlive.api.formats import native_sse
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode_json
from outlive.shared.model.cursor import Cursor
from tests.vectors.logs import VECTORS, Event, Vector, base_answer, cursor

FOLDER: Final = Path(__file__).parent

_RETRY: Final = b"retry: 1500\n\n"
_OTHER: Final = (
    b'id: 1795330000000-0\nevent: queued\ndata: {"id":"gen_0123456789abcdef0123456789abcdef","model":"demo",'
    b'"created_at":1795330000.000}\n\nid: 1795330000100-0\nevent: attempt\ndata: {"attempt":7,"reason":"started"}\n\n'
    b'id: 1795330000100-1\nevent: token\ndata: {"text":"What was lost. "}\n\n'
    b"id: 1795330000100-2\nevent: json\n"
    b'data: {"target":"output","ops":[{"op":"set","path":"","value":{"lost":true}}]}\n\n'
)
"""A log that a failover has taken away, as a viewer saw it."""


def content(vector: Vector) -> dict[str, Any]:
    """One vector as its file holds it."""
    log = [_logged(epoch, seq, event) for epoch, events in enumerate(vector.epochs) for seq, event in enumerate(events)]
    made: dict[str, Any] = {
        "name": vector.name,
        "about": vector.about,
        "log": [{"id": str(e.cursor), "type": e.type.decode(), "data": e.data.decode()} for e in log],
        "answer": base_answer(vector) | vector.answer,
        "streams": list(_streams(vector, log)),
        "viewers": list(_viewers(log)),
    }
    if vector.refused:
        made["refused"] = [_refused(vector, events) for events in vector.refused]
    return made


def _streams(vector: Vector, log: list[Logged]) -> Iterator[dict[str, Any]]:
    """What the API sends after a cursor, when all of the log is there."""
    for after in [None, *(cursor(*position) for position in vector.resume)]:
        rest = [event for event in log if after is None or event.cursor > Cursor.parse(after)]
        yield {"after": after, "fold": False, "bytes": b"".join(map(native_sse.frame, rest)).decode()}
        yield {"after": after, "fold": True, "bytes": native_sse.folded(rest).decode()}


def _viewers(log: list[Logged]) -> Iterator[dict[str, Any]]:
    """What a viewer may see from its first connection to its last."""
    half = max(1, len(log) // 2)
    first, rest = b"".join(map(native_sse.frame, log[:half])), native_sse.folded(log[half:])
    cut = b"".join(map(native_sse.frame, log[half : half + 1]))[:-1]
    yield _viewer("live, then behind", [_RETRY + first + native_sse.HEARTBEAT + rest])
    yield _viewer("sent away, then resumed", [_RETRY + first + _RETRY, _RETRY + rest])
    yield _viewer("cut before the empty line of a frame, then resumed", [_RETRY + first + cut, _RETRY + rest])
    yield _viewer("reset", [_RETRY + _OTHER, _RETRY + native_sse.reset("unknown_cursor") + native_sse.folded(log)])
    reset = native_sse.reset("unknown_cursor"), native_sse.reset("log_changed")
    yield _viewer("reset twice, on one connection", [_RETRY + reset[0] + first + reset[1] + first + rest])


def _viewer(about: str, connections: list[bytes]) -> dict[str, Any]:
    return {"about": about, "connections": [connection.decode() for connection in connections]}


def _refused(vector: Vector, events: list[Event]) -> str:
    """The frames of events that do not fit after the log."""
    last = len(vector.epochs) - 1
    begin = len(vector.epochs[last])
    return b"".join(native_sse.frame(_logged(last, begin + i, event)) for i, event in enumerate(events)).decode()


def _logged(epoch: int, seq: int, event: Event) -> Logged:
    return Logged(Cursor.parse(cursor(epoch, seq)), event[0].encode(), encode_json(event[1]))


def text_of(vector: Vector) -> str:
    """The file's text, ASCII alone, so that no editor and no checkout changes a byte stream."""
    return json.dumps(content(vector), indent=1) + "\n"


def main() -> None:
    for vector in VECTORS:
        (FOLDER / f"{vector.name}.json").write_text(text_of(vector), "ascii")


if __name__ == "__main__":
    main()
