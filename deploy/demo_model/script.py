"""Owns the script of an answer: one request becomes a sequence of steps.

Pure: no clock, no socket. Steps are made one by one, so an answer of a million tokens costs nothing until
it is read. `player` waits between the steps.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from typing import Final, Literal

from outlive.deploy.demo_model.chat_request import Request
from outlive.deploy.demo_model.faults import WITHIN
from outlive.deploy.demo_model.prose import Voice, in_parts, pieces
from outlive.deploy.demo_model.schema_values import example

Kind = Literal["content", "reasoning_content", "refusal"]

# JSON and arguments come in small pieces, as from a real model: one piece seldom holds a whole key.
_JSON_CHARS: Final = 5


@dataclass(frozen=True, slots=True)
class Say:
    """One delta of text."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One delta of a tool call; usually only the first of each call has `id` and `name`."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause."""

    s: float


@dataclass(frozen=True, slots=True)
class Gate:
    """Nothing is sent until this gate is open."""

    name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault; see `faults`."""

    name: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end and the usage: the last step of every script."""

    reason: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


Delta = Say | Call
Stop = Gate | Fault
Step = Delta | Wait | Stop | Finish


def write(request: Request) -> Iterator[Step]:
    """All steps of the answer to one request."""
    wish = request.wish
    stops = _stops(request)
    if wish.first_s:
        yield Wait(wish.first_s)
    yield from _reached(stops, 0)
    sent = counted = reasoned = 0
    cut = False
    for delta in _deltas(request):
        if sent == request.limit:
            cut = True
            break
        if sent and wish.pace_s:
            yield Wait(wish.pace_s)
        yield delta
        sent += 1
        if isinstance(delta, Say) and delta.kind == "reasoning_content":
            reasoned += 1
            continue
        counted += 1
        yield from _reached(stops, counted)
    yield from (stop for _, stop in stops)
    true_reason = "length" if cut else "tool_calls" if request.calls else "stop"
    yield Finish(wish.finish or true_reason, request.prompt_tokens, sent, reasoned)


def _stops(request: Request) -> deque[tuple[int, Stop]]:
    """The gate and the fault, each with the number of deltas before it. At the same number the gate comes
    first, so that a test can choose the moment of the fault."""
    wish = request.wish
    stops: list[tuple[int, Stop]] = [(wish.gate_after, Gate(wish.gate))] if wish.gate else []
    if wish.fault in WITHIN:
        stops.append((wish.after, Fault(wish.fault)))
    return deque(sorted(stops, key=lambda stop: stop[0]))


def _reached(stops: deque[tuple[int, Stop]], counted: int) -> Iterator[Stop]:
    while stops and stops[0][0] <= counted:
        yield stops.popleft()[1]


def _deltas(request: Request) -> Iterator[Delta]:
    wish = request.wish
    voice = Voice(request.prompt, wish.seed)
    for text in islice(pieces(voice.reasons(), wish.chars), wish.reasoning):
        yield Say("reasoning_content", text)
    if wish.refusal:
        for text in islice(pieces(voice.refusals(), wish.chars), wish.refusal):
            yield Say("refusal", text)
        return
    if request.calls == 0 or wish.tokens is not None:
        for text in _content(request, voice):
            yield Say("content", text)
    yield from _calls(request, voice)


def _content(request: Request, voice: Voice) -> Iterator[str]:
    wish = request.wish
    if request.json_schema is not None and request.calls == 0:
        document = _document(request, voice)
        if wish.tokens is None:
            return pieces(iter([document]), wish.chars or _JSON_CHARS)
        # Blanks after it keep the document valid for any number of pieces.
        return in_parts(document.ljust(wish.tokens), wish.tokens) if wish.tokens else iter(())
    if wish.echo:
        return pieces(iter([request.prompt]), wish.chars)
    if wish.tokens is None:
        results = [f"A tool said: {result}\n\n" for result in request.results]
        return pieces(iter([*results, voice.answer()]), wish.chars)
    return islice(pieces(voice.endless(), wish.chars), wish.tokens)


def _document(request: Request, voice: Voice) -> str:
    schema = request.json_schema
    if not schema:
        return json.dumps({"question": request.prompt, "answer": voice.answer(), "sure": False, "score": 0.5})
    return json.dumps(example(schema, voice.word), ensure_ascii=False)


def _calls(request: Request, voice: Voice) -> Iterator[Call]:
    """All calls, in one of the styles in which compatible servers are known to stream them."""
    calls = [list(_call(request, voice, index)) for index in range(request.calls)]
    # A body that is not streamed does not show the style.
    style = request.wish.calls_as if request.stream else "apart"
    if style == "apart":
        yield from chain.from_iterable(calls)
    elif style in ("bare", "zero"):
        for piece in chain.from_iterable(calls):
            yield replace(piece, index=0 if style == "zero" else None)
    else:
        for row in zip_longest(*calls):
            for first, piece in zip((call[0] for call in calls), row, strict=True):
                if piece is not None:
                    yield _renamed(piece, first, style)


def _renamed(piece: Call, first: Call, style: str) -> Call:
    if style == "named":
        return replace(piece, id=first.id, name=first.name)
    return replace(piece, id=None) if style == "numbered" else piece


def _call(request: Request, voice: Voice, index: int) -> Iterator[Call]:
    tool = request.tools[index % len(request.tools)]
    arguments = json.dumps(example(tool.parameters or {"type": "object"}, voice.word), ensure_ascii=False)
    named = f"{index}\0{tool.name}\0{request.wish.seed}\0{request.prompt}"
    digest = hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()
    yield Call(index, f"call_{digest[:24]}", tool.name, "")
    for text in pieces(iter([arguments]), request.wish.chars or _JSON_CHARS):
        yield Call(index, None, None, text)
