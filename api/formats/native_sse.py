"""Owns the SSE bytes of events: one frame each, or one folded frame for a run of them (R9, R33).

Pure. Event data is JSON on one line already (`shared/model/codec.py`), so it is copied, not decoded; only folding
decodes it. The same events give the same bytes on every replica.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json, decode_json_exactly, encode_json
from outlive.shared.model.events import FOLDABLE_BYTES, TERMINAL_BYTES, EventType
from outlive.shared.model.json_ops import Op, compose

HEARTBEAT: Final = b": heartbeat\n\n"

_TOOL_CALL: Final = EventType.TOOL_CALL.value.encode()
_JSON: Final = EventType.JSON.value.encode()
_FOLD_BYTES: Final = 65_536
"""A fold stops growing here: a frame must stay small enough for a phone to parse at once."""

_STEPS_SHRINK: Final = 4
"""How much smaller the `json` events of a run become: they are mostly paths, and fold to about as much as the text."""


def frame(event: Logged) -> bytes:
    """One event as one SSE frame."""
    cursor = event.cursor
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (cursor.epoch, cursor.seq, event.type, event.data)


def folded(events: Sequence[Logged]) -> bytes:
    """These consecutive events as frames, runs of one kind joined into one frame each."""
    return b"".join(frame(run[0]) if len(run) == 1 else _fold(run) for run in _runs(events))


def retry(delay_s: float) -> bytes:
    """How long the viewer should wait before it reconnects."""
    return b"retry: %d\n\n" % round(delay_s * 1000)


def reset(reason: str) -> bytes:
    """Forget everything: the log follows again from its first event. It has no id, so a viewer that is cut off right
    here comes back with the cursor that did not work, and is reset again."""
    return b"event: reset\ndata: " + encode_json({"reason": reason}) + b"\n\n"


def is_terminal(event: Logged) -> bool:
    return event.type in TERMINAL_BYTES


def cut_of(event: Logged) -> str | None:
    """The `cut` of a terminal that another writer than the worker wrote; None without one."""
    cut = decode_json(event.data).get("cut")
    return str(cut) if cut else None


def _runs(events: Sequence[Logged]) -> Iterator[list[Logged]]:
    run: list[Logged] = []
    size = 0
    for event in events:
        if run and size < _FOLD_BYTES and _continues(run, event):
            run.append(event)
        else:
            if run:
                yield run
            run, size = [event], 0
        size += len(event.data) // (1 if event.type == run[0].type else _STEPS_SHRINK)
    if run:
        yield run


def _continues(run: Sequence[Logged], event: Logged) -> bool:
    first, before = run[0], run[-1]
    if event.cursor != (before.cursor.epoch, before.cursor.seq + 1):
        return False
    if event.type == _JSON:
        return first.type in FOLDABLE_BYTES or (first.type == _JSON and _target(first) == _target(event))
    if event.type != first.type or event.type not in FOLDABLE_BYTES:
        return False
    if event.type == _TOOL_CALL:
        piece = decode_json(event.data)
        return "id" not in piece and "name" not in piece and piece["index"] == decode_json(first.data)["index"]
    return True


def _target(event: Logged) -> str:
    return str(decode_json(event.data)["target"])


def _fold(run: Sequence[Logged]) -> bytes:
    first = run[0]
    values = _folded_values(event for event in run if event.type == _JSON)
    if first.type == _JSON:
        data: dict[str, Any] = values[0]
    else:
        data = decode_json(first.data)
        part = "arguments" if first.type == _TOOL_CALL else "text"
        data[part] = "".join(decode_json(event.data)[part] for event in run if event.type == first.type)
        if values:
            data["json"] = values
    data["from"] = first.cursor.seq
    return frame(Logged(run[-1].cursor, first.type, encode_json(data)))


def _folded_values(events: Iterable[Logged]) -> list[dict[str, Any]]:
    """One `{target, ops}` for each target, in the order of their first events."""
    by_target: dict[str, list[Op]] = {}
    for event in events:
        data = decode_json_exactly(event.data)
        by_target.setdefault(data["target"], []).extend(data["ops"])
    return [{"target": target, "ops": compose(ops)} for target, ops in by_target.items()]
