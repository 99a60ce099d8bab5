"""Owns the steps that describe a growing JSON value: how to apply one, how to turn many into few.

Pure. An op changes the value so far: `set` replaces the value at its path, `append` lengthens the string there, `add`
puts a new element or key there (PROTOCOL.md, JSON as it grows). Paths are JSON Pointers (RFC 6901). Knows nothing of
text: the worker decides which ops to write, and when.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, Literal

from typing_extensions import TypedDict

_INDEX: Final = re.compile("0|[1-9][0-9]{0,15}")


class Op(TypedDict):
    """One step."""

    op: Literal["set", "append", "add"]
    path: str
    value: Any


class _Nothing(Enum):
    NOTHING = "nothing"


NOTHING: Final[Any] = _Nothing.NOTHING
"""The value before its first op: not even null."""


def child(path: str, part: str | int) -> str:
    """The pointer to a member or element of the value at `path`."""
    return f"{path}/{part if isinstance(part, int) else part.replace('~', '~0').replace('/', '~1')}"


def apply(value: Any, ops: Iterable[Op]) -> Any:
    """The value after these ops. Do not use `value` or the ops afterwards: their parts become parts of the result.
    Raises ValueError for an op that does not fit."""
    for op in ops:
        value = _apply(value, op)
    return value


def compose(ops: Iterable[Op]) -> list[Op]:
    """Fewer ops with the same effect. Joins appends to one path, and applies an op inside a value that another of these
    ops brought to that value, so after a root `set` nothing else is left. Linear in the ops; do not use their values
    afterwards. Raises ValueError for an op that does not fit a value that an earlier op brought."""
    composed: list[Op] = []
    whole: dict[str, Op] = {}
    """By path, the ops in `composed` that brought a whole value; none lies inside another."""
    for op in _joined(ops):
        kind, path = op["op"], op["path"]
        holder = _holder(whole, path)
        if holder is not None:
            holder["value"] = _apply(holder["value"], {**op, "path": path[len(holder["path"]) :]})
            continue
        if kind == "set":
            # The set has replaced all values inside; and before a new root no op matters.
            whole.clear()
            if path == "":
                composed.clear()
        composed.append(kept := op.copy())
        if kind in ("set", "add"):
            whole[path] = kept
    # An op that stood between two appends may have become part of an earlier value.
    return list(_joined(composed))


def _holder(whole: dict[str, Op], path: str) -> Op | None:
    """The op whose value contains the one at `path`."""
    if not whole:
        return None
    end = len(path)
    while end >= 0:
        if op := whole.get(path[:end]):
            return op
        end = path.rfind("/", 0, end) if end else -1
    return None


def _joined(ops: Iterable[Op]) -> Iterable[Op]:
    """Each run of appends to one path as one op, so a long string is not copied for every piece."""
    run: list[str] = []
    at = ""
    for op in ops:
        if op["op"] == "append" and run and op["path"] == at:
            run.append(op["value"])
            continue
        if run:
            yield {"op": "append", "path": at, "value": "".join(run)}
            run = []
        if op["op"] == "append":
            run, at = [op["value"]], op["path"]
        else:
            yield op
    if run:
        yield {"op": "append", "path": at, "value": "".join(run)}


def _apply(value: Any, op: Op) -> Any:
    if op["path"] and op["path"][0] != "/":
        raise _misfit(op)
    parts = [part.replace("~1", "/").replace("~0", "~") for part in op["path"].split("/")[1:]]
    if not parts:
        return _changed(op, value, present=value is not NOTHING)
    holder = value
    try:
        for part in parts[:-1]:
            holder = holder[_key(holder, part, op)]
    except LookupError as error:
        raise _misfit(op) from error
    key = _key(holder, parts[-1], op)
    if isinstance(holder, list):
        present = key < len(holder)
        if key == len(holder):
            holder.append(NOTHING)
    else:
        present = key in holder
    holder[key] = _changed(op, holder[key] if present else NOTHING, present=present)
    return value


def _key(holder: Any, part: str, op: Op) -> Any:
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list) or not _INDEX.fullmatch(part) or int(part) > len(holder):
        raise _misfit(op)
    return int(part)


def _changed(op: Op, before: Any, *, present: bool) -> Any:
    """The value at the op's path afterwards."""
    match op["op"]:
        case "set" if present or op["path"] == "":
            return op["value"]
        case "add" if not present and op["path"]:
            return op["value"]
        case "append" if isinstance(before, str) and isinstance(op["value"], str):
            return before + op["value"]
    raise _misfit(op)


def _misfit(op: Op) -> ValueError:
    return ValueError(f"{op['op']} at {op['path']!r} does not fit the value so far")
