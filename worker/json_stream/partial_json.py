"""Owns one JSON value that grows with its text: text in, ops out.

Pure: time is handed in. jiter reads the incomplete text from its beginning; only the right edge can have changed since
the last read, so only that is compared. Half a string is emitted, half a number is not: `1` may become `1200`, and a
viewer cannot know. So what has been emitted never changes; it only gets longer.
"""

from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any, Final

from jiter import from_json

from outlive.shared.model.codec import decode_json_exactly, encode_json
from outlive.shared.model.json_ops import NOTHING, Op, child

READ_EVERY_S: Final = 0.075
"""Between two reads. The eye sees no difference if they are closer, and each costs a parse."""

_READ_EVERY_S_PER_BYTE: Final = 1.5e-6
"""A parse costs about 15 ns per byte. Above 50 kB reads are rarer, so that one value never costs more than about one
percent of a core, however large it grows."""

_OP_BYTES: Final = 64
"""What an op takes besides its path and value, generously."""

_MIN_BYTES: Final = 1024
"""Even if events are to be smaller: less leaves no room beside a path."""

_MAX_CHAR_BYTES: Final = 12
"""One character can take so many bytes of JSON: a pair of escapes."""

_MAX_DEPTH: Final = 200
"""jiter's own limit; those of other parsers are similar."""

_MAX_INTEGER: Final = 10**4000
"""Python neither reads nor writes integers of more than 4300 digits."""


class NotStreamable(Exception):
    """This value cannot be streamed as ops; the message says why."""


class NotJson(Exception):
    """The complete text is not JSON. `is_cut`: with more text it might have been."""

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
        """The lengths of the containers down the right edge of what has been emitted, last that of a string; None
        before the first op."""
        self._has_news = False
        self._due_s = 0.0

    @property
    def due_s(self) -> float | None:
        """When to read next; None while there is no new text."""
        return self._due_s if self._has_news else None

    @property
    def is_empty(self) -> bool:
        """Nothing but white space has come."""
        return not (self._torn or self._text.strip())

    def feed(self, text: str) -> None:
        """The next piece of the text."""
        if self._torn or not text.isascii():
            text = _whole(self._torn + text)
            self._torn = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = text[: len(text) - len(self._torn)]
        self._text += text.encode("utf-8", "surrogatepass")
        self._has_news = True

    def read(self, now_s: float) -> Iterator[Op]:
        """What the text so far adds to what has been emitted. Iterate to the end: only then it counts as emitted.
        Raises `NotStreamable`."""
        self._has_news = False
        self._due_s = now_s + max(READ_EVERY_S, len(self._text) * _READ_EVERY_S_PER_BYTE)
        try:
            value = from_json(
                bytes(self._text), partial_mode="trailing-strings", allow_inf_nan=False, catch_duplicate_keys=True
            )
        except ValueError:
            # Not a value yet, or never one. What has been emitted stays.
            return
        if self._text[-1:].isdigit():
            value = _without_open_number(value)
        yield from self._grow(value)

    def end(self) -> tuple[Any, Iterator[Op]]:
        """The complete value, and the last ops, which raise `NotStreamable`. Raises `NotJson`."""
        self._has_news = False
        text = bytes(self._text) + self._torn.encode("utf-8", "surrogatepass")
        try:
            value = from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)
        except ValueError:
            # A key that comes twice may have changed anything; jiter refuses half a character.
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
            yield from self._emit("set", "", value)
        else:
            yield from self._emit_growth(value, self._edge)
        self._edge = _edge_of(value, self._edge)

    def _emit_growth(self, value: Any, edge: list[int]) -> Iterator[Op]:
        """What is new, from the deepest container on the edge outwards: the order in which it was written."""
        levels: list[tuple[str, list[tuple[str | int, Any]]]] = []
        node, path = value, ""
        for length in edge:
            if isinstance(node, str):
                if len(node) > length:
                    yield from self._emit_text(path, node[length:])
                break
            fresh = max(0, len(node) - length)
            last = _last_of(node, fresh + 1)
            levels.append((path, last[len(last) - fresh :]))
            if length == 0 or len(node) < length:
                break
            path, node = child(path, last[0][0]), last[0][1]
        for path, news in reversed(levels):
            for key, each in news:
                yield from self._emit("add", child(path, key), each)

    def _emit(self, op: Any, path: str, value: Any) -> Iterator[Op]:
        """A new value at `path`, in as many ops as are needed to keep each below the limit."""
        _check(value)
        yield from self._emit_in_parts(op, path, value)

    def _emit_in_parts(self, op: Any, path: str, value: Any) -> Iterator[Op]:
        room = self._room(path)
        if not isinstance(value, str | dict | list) or len(encode_json(value)) <= room:
            yield {"op": op, "path": path, "value": value}
        elif isinstance(value, str):
            yield {"op": op, "path": path, "value": ""}
            yield from self._emit_text(path, value)
        else:
            yield {"op": op, "path": path, "value": type(value)()}
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self._emit_in_parts("add", child(path, key), each)

    def _emit_text(self, path: str, text: str) -> Iterator[Op]:
        room = self._room(path)
        step = len(text) if len(encode_json(text)) <= room else room // _MAX_CHAR_BYTES
        for start in range(0, len(text), step):
            yield {"op": "append", "path": path, "value": text[start : start + step]}

    def _room(self, path: str) -> int:
        """How many bytes the value of an op at `path` may take."""
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
    """The edge after `value` was emitted: nowhere shorter than it was before."""
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
    """Without the number at the very end, which the next piece may continue. It may also be a complete number before
    half a key; then it is emitted with the next read."""
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
    """Raise `NotStreamable` for what is JSON but too much for programs that read it."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        if (isinstance(value, float) and not isfinite(value)) or (isinstance(value, int) and abs(value) > _MAX_INTEGER):
            raise NotStreamable("A number is too large.")
        return
    if depth > _MAX_DEPTH:
        raise NotStreamable("The value is nested too deeply.")
    for each in value:
        _check(each, depth + 1)


def _whole(text: str) -> str:
    """Join the halves of a character that came in two pieces."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
