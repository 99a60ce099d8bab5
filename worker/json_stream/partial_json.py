"""Owns one JSON value that grows with the text it is written in: text in, ops out.

Pure: time is handed in. jiter reads the half text from its beginning; only the right edge can have
changed since the last look, so only that is compared. Half a string is told, half a number is not:
`1` may become `1200`, and a viewer cannot know. So what has been told never changes; it gets longer.
"""

from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any, Final

from jiter import from_json

from outlive.shared.model.codec import decode_json_exactly, encode_json
from outlive.shared.model.json_ops import NOTHING, Op, child

LOOK_S: Final = 0.075
"""Between two looks. Faster, an eye sees no difference and every look costs a parse."""

_LOOK_S_PER_BYTE: Final = 1.5e-6
"""A parse costs about 15 ns per byte. Above 50 kB looks are rarer, so that one value never costs
more than about one percent of a core, however large it grows."""

_OP_BYTES: Final = 64
"""An op's own letters, generously."""

_MIN_BYTES: Final = 1024
"""However small events are to be: less leaves no room beside a path."""

_WIDEST: Final = 12
"""Bytes of JSON one character can take: a pair of escapes."""

_DEEPEST: Final = 200
"""jiter's own limit; other parsers' are about there."""

_LARGEST: Final = 10**4000
"""Python neither reads nor writes whole numbers of more than 4300 digits."""


class NotStreamable(Exception):
    """This value cannot be told in ops; the message says why."""


class NotJson(Exception):
    """The whole text is not JSON. `is_cut`: with more text it might have been."""

    def __init__(self, *, is_cut: bool) -> None:
        super().__init__(is_cut)
        self.is_cut = is_cut


class PartialJson:
    """One value. `ops_bytes` bounds each op."""

    def __init__(self, ops_bytes: int) -> None:
        self._limit = max(ops_bytes, _MIN_BYTES)
        self._text = bytearray()
        self._torn = ""
        self._edge: list[int] | None = None
        """The lengths of the containers down the right edge of what has been told, last that of a
        string; None before the first op."""
        self._unseen = False
        self._due_s = 0.0

    @property
    def due_s(self) -> float | None:
        """When to look next; None while there is nothing new to see."""
        return self._due_s if self._unseen else None

    @property
    def is_empty(self) -> bool:
        """No text but white space has come."""
        return not (self._torn or self._text.strip())

    def feed(self, text: str) -> None:
        """The next piece of the text."""
        if self._torn or not text.isascii():
            text = _whole(self._torn + text)
            self._torn = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = text[: len(text) - len(self._torn)]
        self._text += text.encode("utf-8", "surrogatepass")
        self._unseen = True

    def look(self, now_s: float) -> Iterator[Op]:
        """What the text so far adds to what has been told. To be read to its end: only then it counts
        as told. Raises `NotStreamable`."""
        self._unseen = False
        self._due_s = now_s + max(LOOK_S, len(self._text) * _LOOK_S_PER_BYTE)
        try:
            value = from_json(
                bytes(self._text), partial_mode="trailing-strings", allow_inf_nan=False, catch_duplicate_keys=True
            )
        except ValueError:
            # Not a value yet, or never one. What has been told stands.
            return
        if self._text[-1:].isdigit():
            value = _without_open_number(value)
        yield from self._grow(value)

    def end(self) -> tuple[Any, Iterator[Op]]:
        """The whole value, and the last ops, which raise `NotStreamable`. Raises `NotJson`."""
        self._unseen = False
        text = bytes(self._text) + self._torn.encode("utf-8", "surrogatepass")
        try:
            value = from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)
        except ValueError:
            # A key that stands twice may have changed anything; half a character jiter does not take.
            try:
                value = decode_json_exactly(text.decode("utf-8", "surrogatepass"))
            except ValueError as error:
                raise NotJson(is_cut=_ends_early(text)) from error
            self._edge = None
        return value, self._grow(value)

    def _grow(self, value: Any) -> Iterator[Op]:
        if value is NOTHING:
            return
        if self._edge is None:
            yield from self._tell("set", "", value)
        else:
            yield from self._tell_growth(value, self._edge)
        self._edge = _edge_of(value, self._edge)

    def _tell_growth(self, value: Any, edge: list[int]) -> Iterator[Op]:
        """What is new, from the deepest container on the edge outwards: the order it was written in."""
        levels: list[tuple[str, list[tuple[str | int, Any]]]] = []
        node, path = value, ""
        for length in edge:
            if isinstance(node, str):
                if len(node) > length:
                    yield from self._tell_text(path, node[length:])
                break
            fresh = max(0, len(node) - length)
            last = _last_of(node, fresh + 1)
            levels.append((path, last[len(last) - fresh :]))
            if length == 0 or len(node) < length:
                break
            path, node = child(path, last[0][0]), last[0][1]
        for path, news in reversed(levels):
            for key, each in news:
                yield from self._tell("add", child(path, key), each)

    def _tell(self, op: Any, path: str, value: Any) -> Iterator[Op]:
        """A new value at `path`, in as many ops as it takes to keep each below the limit."""
        _check(value)
        yield from self._tell_in_parts(op, path, value)

    def _tell_in_parts(self, op: Any, path: str, value: Any) -> Iterator[Op]:
        room = self._room(path)
        if not isinstance(value, str | dict | list) or len(encode_json(value)) <= room:
            yield {"op": op, "path": path, "value": value}
        elif isinstance(value, str):
            yield {"op": op, "path": path, "value": ""}
            yield from self._tell_text(path, value)
        else:
            yield {"op": op, "path": path, "value": type(value)()}
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self._tell_in_parts("add", child(path, key), each)

    def _tell_text(self, path: str, text: str) -> Iterator[Op]:
        room = self._room(path)
        step = len(text) if len(encode_json(text)) <= room else room // _WIDEST
        for start in range(0, len(text), step):
            yield {"op": "append", "path": path, "value": text[start : start + step]}

    def _room(self, path: str) -> int:
        """Bytes for the value of an op at `path`."""
        room = self._limit - _OP_BYTES - len(encode_json(path))
        if room < self._limit // 4:
            raise NotStreamable("A key is too long.")
        return room


def _last_of(node: Any, count: int) -> list[tuple[str | int, Any]]:
    """The last members or elements of a container, with their keys, in order."""
    if isinstance(node, dict):
        return list(islice(reversed(node.items()), count))[::-1]
    return list(enumerate(node[-count:], max(0, len(node) - count)))


def _edge_of(value: Any, before: list[int] | None) -> list[int]:
    """The edge after `value` was told: never shorter in any place than it was before."""
    edge: list[int] = []
    node = value
    while isinstance(node, str | dict | list):
        length = len(node)
        edge.append(length)
        if isinstance(node, str) or not length:
            break
        node = next(reversed(node.values())) if isinstance(node, dict) else node[-1]
    return before if before is not None and edge < before else edge


def _without_open_number(value: Any) -> Any:
    """Without the number at the very end, which the next piece may go on with. It may also be a
    whole number before half a key; then it is told with the next look."""
    holder: Any = None
    node = value
    while isinstance(node, dict | list) and node:
        holder, node = node, next(reversed(node.values())) if isinstance(node, dict) else node[-1]
    if isinstance(node, bool) or not isinstance(node, int | float):
        return value
    if holder is None:
        return NOTHING
    if isinstance(holder, dict):
        holder.popitem()
    else:
        holder.pop()
    return value


def _ends_early(text: bytes) -> bool:
    try:
        from_json(text, allow_inf_nan=False)
    except ValueError as error:
        return str(error).startswith("EOF")
    return False


def _check(value: Any, depth: int = 0) -> None:
    """Raise `NotStreamable` for what is JSON, and too much for programs that read it."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        if (isinstance(value, float) and not isfinite(value)) or (isinstance(value, int) and abs(value) > _LARGEST):
            raise NotStreamable("A number is too large.")
        return
    if depth > _DEEPEST:
        raise NotStreamable("It is nested too deeply.")
    for each in value:
        _check(each, depth + 1)


def _whole(text: str) -> str:
    """Halves of a character that came in two pieces, joined."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
