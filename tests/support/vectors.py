"""Owns reading the test vectors: files of tests/vectors as values, and answers made comparable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import Cursor

FOLDER: Final = Path(__file__).parents[1] / "vectors"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.json"))

Vector = dict[str, Any]


class Viewing(NamedTuple):
    """What one viewer gets, connection by connection."""

    about: str
    connections: list[bytes]


def load(name: str) -> Vector:
    """One vector."""
    vector: Vector = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return vector


def log_of(vector: Vector) -> list[Logged]:
    """Its log as the API reads it."""
    return [Logged(Cursor.parse(e["id"]), e["type"].encode(), e["data"].encode()) for e in vector["log"]]


def viewings(vector: Vector) -> Iterator[Viewing]:
    """All ways to see the vector's log; each reduces to its answer."""
    for viewer in vector["viewers"]:
        yield Viewing(viewer["about"], [connection.encode() for connection in viewer["connections"]])
    for stream in vector["streams"]:
        about = f"after {stream['after']}, {'folded' if stream['fold'] else 'unfolded'}"
        yield Viewing(about, [unfolded(vector, up_to=stream["after"]), stream["bytes"].encode()])


def unfolded(vector: Vector, up_to: str | None) -> bytes:
    """The log's frames up to this cursor; none of them for None."""
    log = vector["log"]
    end = 0 if up_to is None else 1 + [event["id"] for event in log].index(up_to)
    return "".join(f"id: {e['id']}\nevent: {e['type']}\ndata: {e['data']}\n\n" for e in log[:end]).encode()


def refusals(vector: Vector) -> Iterator[list[bytes]]:
    """The whole log, and then what a reducer must refuse."""
    for frames in vector.get("refused", []):
        yield [unfolded(vector, up_to=vector["log"][-1]["id"]), frames.encode()]


def comparable(value: Any) -> Any:
    """With halves of characters joined, and U+FFFD for each half that stays alone."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {name: comparable(member) for name, member in value.items()}
    return [comparable(element) for element in value] if isinstance(value, list) else value
