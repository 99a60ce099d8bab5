"""Owns the use of quirks: the steps of a script become frames, rewritten in all the ways that a request asks for.

Pure, except for the date of a completion. Slower than `openai_shapes.Chunks` by far, and used only where asked for.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

from outlive.deploy.demo_model.chat_request import Request
from outlive.deploy.demo_model.model_options import NO_REASON
from outlive.deploy.demo_model.openai_shapes import call_piece, usage
from outlive.deploy.demo_model.quirks.calls import CALLS
from outlive.deploy.demo_model.quirks.chunk_rewrites import DONE, Item, Rewrite
from outlive.deploy.demo_model.quirks.endings import ENDINGS
from outlive.deploy.demo_model.quirks.frames import FRAMES
from outlive.deploy.demo_model.quirks.shapes import BARE, SHAPES
from outlive.deploy.demo_model.quirks.texts import TEXTS
from outlive.deploy.demo_model.quirks.usages import USAGES
from outlive.deploy.demo_model.script import Call, Finish, Say, Step, Wait

_ON_CHUNKS: Final[Mapping[str, Rewrite]] = {**CALLS, **TEXTS, **ENDINGS, **USAGES, **SHAPES}
"""In the order in which they are applied."""
_ALIVE_EACH_S: Final = 0.1
_ALIVE_FRAMES: Final = {
    "comments": b": keep-alive\n\n",
    "chunks": b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":null}]}\n\n',
    "pings": b"data: {}\n\n",
    "blanks": b"\n",
}


def rewrite(steps: Iterator[Step], request: Request, completion_id: str) -> Iterator[Step | bytes]:
    """The same steps, with frames for deltas. The last one ends the stream and writes nothing more."""
    wish = request.wish
    if wish.hold_s:
        steps = _held_back(steps, wish.hold_s)
    last: list[Finish] = []
    items = _chunks(steps, request, completion_id, last)
    for name, change in _ON_CHUNKS.items():
        if name in wish.quirks:
            items = change(items)
    is_bare = not BARE.isdisjoint(wish.quirks)
    items = (_frame(item, is_bare=is_bare) if isinstance(item, dict) else item for item in items)
    for name, change in FRAMES.items():
        if name in wish.quirks:
            items = change(items)
    yield from _alive(wish.alive, wish.alive_s)
    yield from items
    yield from (replace(finish, reason=NO_REASON) for finish in last)


def _chunks(steps: Iterator[Step], request: Request, completion_id: str, last: list[Finish]) -> Iterator[Item]:
    """Chunks as OpenAI sends them. The step that ends the script goes to `last`."""
    head = {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
    }
    numbers = count()
    for step in steps:
        if isinstance(step, Finish):
            last.append(step)
            yield from _end(head, step, include_usage=request.include_usage)
        elif isinstance(step, Say | Call):
            if next(numbers) == 0:
                yield _chunk(head, {"role": "assistant", "content": ""}, None)
            yield _chunk(head, {step.kind: step.text} if isinstance(step, Say) else _calls(step), None)
        else:
            yield step


def _end(head: dict[str, Any], finish: Finish, *, include_usage: bool) -> Iterator[Item]:
    if finish.reason == NO_REASON:
        return
    yield _chunk(head, {}, finish.reason)
    if include_usage:
        yield head | {"choices": [], "usage": usage(finish)}
    yield DONE


def _chunk(head: dict[str, Any], delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def _calls(call: Call) -> dict[str, Any]:
    return {"tool_calls": [call_piece(call)]}


def _frame(chunk: dict[str, Any], *, is_bare: bool) -> bytes:
    # Python's encoder, because it writes NaN and lone surrogates.
    body = json.dumps(chunk, separators=(",", ":")).encode()
    return body + b"\n\n" if is_bare else b"data: " + body + b"\n\n"


def _held_back(steps: Iterator[Step], hold_s: float) -> Iterator[Step]:
    """The arguments of each call come whole, after a pause."""
    held: Call | None = None
    for step in steps:
        if isinstance(step, Call) and step.id is None:
            held = step if held is None else replace(held, arguments=held.arguments + step.arguments)
        elif held is None or not isinstance(step, Wait):
            if held is not None:
                yield from (Wait(hold_s), held)
                held = None
            yield step


def _alive(how: str, alive_s: float) -> Iterator[Step | bytes]:
    """Frames that only show life."""
    for _ in range(round(alive_s / _ALIVE_EACH_S)):
        yield _ALIVE_FRAMES[how]
        yield Wait(_ALIVE_EACH_S)
