"""Owns how an event's data becomes one line of JSON and back.

Pure. The log stores these bytes and SSE sends them untouched as the `data:` field. So they never hold a line break
(JSON escapes control characters) and are the same on every replica.
"""

import json
import re
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, cast, get_args

import orjson

from outlive.shared.model.events import Delta, Event, Turn, Usage, Whole


def encode(event: Event) -> bytes:
    """One event's fields as one line of JSON, without those that are None."""
    return encode_json(event)


def decode_output(kind: bytes, data: bytes) -> Delta | Whole | None:
    """The event of one log entry if it is part of an answer, else None. Drops fields that a newer worker may have
    added. Raises ValueError when the data is not of that type."""
    shape = _OUTPUT.get(kind)
    if shape is None:
        return None
    return cast(Delta | Whole, _build(shape, kind, decode_json(data)))


def _build(shape: type, kind: bytes, values: Any) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"the data of a {kind!r} event is not a JSON object")
    named = {name: values.get(name) for name in _names(shape)}
    if shape is Turn:
        named["usage"] = _build(Usage, kind, named["usage"])
    return shape(**named)


def encode_json(value: Any) -> bytes:
    """Any JSON value, event data classes included, as one line of UTF-8.

    Providers do send lone surrogates (half an emoji in each of two chunks). UTF-8 cannot carry them and orjson refuses
    them. As escapes they survive, and a client that joins the text gets the whole character back. Whole numbers beyond
    64 bits survive too. NaN and infinities become null.

    The bytes are a copy. orjson returns bytes in the buffer it wrote into: 20 characters hold 4 kB for as long as they
    are kept, and a worker keeps every event of a running answer. The copy takes 30 ns.
    """
    try:
        return b"%b" % orjson.dumps(value, default=_fields_of, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        return _encode_slowly(value)


def decode_json(data: bytes | str) -> Any:
    """The value of one JSON text, lone surrogates allowed. Raises ValueError if it is not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _decode_slowly(data)


def decode_json_exactly(data: bytes | str) -> Any:
    """As `decode_json`, but whole numbers of any size stay whole: orjson turns large ones into floats."""
    return _decode_slowly(data)


def _decode_slowly(data: bytes | str) -> Any:
    # Python's parser accepts lone surrogates, which orjson refuses, but also NaN and endless nesting.
    try:
        return json.loads(data, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def _encode_slowly(value: Any) -> bytes:
    text = json.dumps(value, default=_fields_of, separators=(",", ":"))
    if _NOT_JSON.search(text):
        # Python writes NaN and Infinity, which no other parser accepts; orjson writes null.
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"))
    return text.encode("ascii")


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_NOT_JSON: Final = re.compile("NaN|Infinity")
_OUTPUT: Final[dict[bytes, type]] = {shape.type.value.encode(): shape for shape in (*get_args(Delta), *get_args(Whole))}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _fields_of(value: Any) -> dict[str, Any]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(type(value).__name__)
    return {name: field for name in _names(type(value)) if (field := getattr(value, name)) is not None}
