"""Owns how an event's data becomes one line of JSON and back.

Pure. The bytes made here are stored in the log and sent as the SSE `data:` field untouched, so
they never hold a line break (JSON escapes control characters) and are the same on every replica.
"""

import json
import re
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, cast, get_args

import orjson

from outlive.shared.model.events import Delta, Event, Whole


def encode(event: Event) -> bytes:
    """One event's fields as one line of JSON, without those that are None."""
    return encode_json(event)


def decode_output(kind: bytes, data: bytes) -> Delta | Whole | None:
    """The event of one log entry if it is part of an answer, else None. Fields that a newer worker
    may have added are left out. Raises ValueError when the data is not of that type."""
    shape = _OUTPUT.get(kind)
    if shape is None:
        return None
    found = decode_json(data)
    try:
        return cast(Delta | Whole, shape(**{name: found.get(name) for name in _names(shape)}))
    except AttributeError as error:
        raise ValueError(f"not the data of {kind!r}") from error


def encode_json(value: Any) -> bytes:
    """Any JSON value, event data classes included, as one line of UTF-8.

    Providers do send lone surrogates (half an emoji in each of two chunks). UTF-8 cannot carry
    them and orjson refuses them; as escapes they survive, and a client that joins the text gets
    the whole character back. Likewise whole numbers beyond 64 bits. What is no number is null.
    """
    try:
        return orjson.dumps(value, default=_fields_of, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        return _encode_slowly(value)


def decode_json(data: bytes | str) -> Any:
    """The value of one JSON text, lone surrogates allowed. Raises ValueError if it is not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _decode_slowly(data)


def decode_json_exactly(data: bytes | str) -> Any:
    """As `decode_json`, but whole numbers of any size stay whole: orjson makes floats of large ones."""
    return _decode_slowly(data)


def _decode_slowly(data: bytes | str) -> Any:
    # Python's parser takes lone surrogates, which orjson refuses, but NaN and endless nesting as well.
    try:
        return json.loads(data, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _encode_slowly(value: Any) -> bytes:
    text = json.dumps(value, default=_fields_of, separators=(",", ":"))
    if _NO_NUMBER.search(text):
        # Python writes words that no other parser takes, where orjson writes null.
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"))
    return text.encode("ascii")


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_NO_NUMBER: Final = re.compile("NaN|Infinity")
_OUTPUT: Final[dict[bytes, type]] = {shape.type.value.encode(): shape for shape in (*get_args(Delta), *get_args(Whole))}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _fields_of(value: Any) -> dict[str, Any]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(type(value).__name__)
    return {name: found for name in _names(type(value)) if (found := getattr(value, name)) is not None}
