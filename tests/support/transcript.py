"""Owns what one viewer saw, and the answer that results from it.

Pure. `Transcript.reduce` is the reference reduction of events to an answer (PROTOCOL.md). `invariants.py` checks
whether a viewer may see what it saw.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from outlive.shared.errors import MalformedCursor
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.json_ops import NOTHING, apply
from tests.support.sse import Frame

TERMINALS: Final = frozenset({"completed", "failed", "cancelled"})
TEXTS: Final = {"token": "text", "reasoning": "reasoning", "refusal": "refusal"}
"""Event type -> the field of the answer its `text` is appended to."""
FOLDABLE: Final = frozenset({*TEXTS, "tool_call", "json"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A note about the connection, between frames."""

    note: str

    def __str__(self) -> str:
        return f"-- {self.note}"


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame with its position: it covers seqs `first`..`cursor.seq` of one epoch."""

    cursor: Cursor
    first: int
    folded: bool
    frame: Frame


@dataclass
class Segment:
    """The frames between two resets. `after` is the cursor at which it began, `START` for the beginning."""

    after: Cursor
    seen: list[SeenFrame] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return self.after == START


class Transcript:
    """Everything one viewer saw of one generation, over any number of connections."""

    def __init__(self, generation_id: str, name: str = "viewer", after: Cursor = START) -> None:
        self.generation_id = generation_id
        self.name = name
        self.after = after
        self.entries: list[Frame | Mark] = []
        self.cursor = after
        self.terminal: Frame | None = None
        self.connections = 0

    def connected(self, base_url: str) -> None:
        """A connection was opened, from `cursor` on."""
        self.connections += 1
        self.entries.append(Mark(f"connected to {base_url} after {self.cursor}"))

    def ended(self, how: str) -> None:
        """A connection ended, or could not be opened."""
        self.entries.append(Mark(how))

    def saw(self, frame: Frame) -> None:
        """A frame arrived. It is recorded whether or not it is allowed; AssertionError if its id is not a cursor."""
        self.entries.append(frame)
        if frame.event == "reset":
            self.cursor = START
        elif frame.id:
            try:
                self.cursor = Cursor.parse(frame.id)
            except MalformedCursor:
                raise AssertionError(f"I1 broken: {frame.id!r} is not a cursor\n{self.excerpt()}") from None
        if frame.event in TERMINALS:
            self.terminal = frame

    @property
    def frames(self) -> list[Frame]:
        return [entry for entry in self.entries if isinstance(entry, Frame)]

    @property
    def resets(self) -> int:
        return sum(frame.event == "reset" for frame in self.frames)

    def segments(self) -> list[Segment]:
        """The frames with ids, split at resets."""
        segments = [Segment(self.after)]
        for frame in self.frames:
            if frame.event == "reset":
                segments.append(Segment(START))
            elif frame.id:
                segments[-1].seen.append(seen_frame(frame))
        return segments

    def reduce(self) -> dict[str, Any]:
        """The answer as this viewer shows it: its last segment, reduced."""
        return reduce(self.segments()[-1].seen)

    def excerpt(self, around: Frame | None = None, width: int = 8) -> str:
        """A few entries around a frame, or the last ones."""
        at = len(self.entries) - 1
        if around is not None:
            at = next((i for i, entry in enumerate(self.entries) if entry is around), at)
        begin = max(0, at - width)
        shown = enumerate(self.entries[begin : at + 4], start=begin)
        lines = [f"  {'>' if i == at and around is not None else ' '} {entry}" for i, entry in shown]
        return "\n".join([f"{self.name} of {self.generation_id}:", *lines])


def seen_frame(frame: Frame) -> SeenFrame:
    """A frame with its position. Raises MalformedCursor if its id is not a cursor."""
    cursor = Cursor.parse(frame.id or "")
    data = frame.data
    folded = isinstance(data, dict) and "from" in data and frame.event in FOLDABLE
    return SeenFrame(cursor, data["from"] if folded else cursor.seq, folded, frame)


def reduce(seen: Iterable[SeenFrame]) -> dict[str, Any]:
    """Reduce events to an answer. Raises ValueError if a fold crosses a terminal's `cut`, or if tool calls and
    results do not match."""
    answer = _nothing()
    kept = list(seen)
    if kept and "cut" in (last := kept[-1]).frame.data and last.frame.event in TERMINALS:
        cut = Cursor.parse(last.frame.data["cut"])
        if any(s.cursor > cut and Cursor(s.cursor.epoch, s.first) <= cut for s in kept):
            raise ValueError(f"a folded frame crosses the cut {cut}")
        kept = [s for s in kept if s.cursor <= cut or s is last]
    for s in kept:
        _apply(answer, s.frame.event, s.frame.data)
        answer["cursor"] = str(s.cursor)
    calls = [call for _, call in sorted(answer["tool_calls"].items())]
    answer["tool_calls"] = [{name: value for name, value in call.items() if name != "done"} for call in calls]
    for name in TEXTS.values():
        answer[name] = whole(answer[name])
    return answer


def whole(text: str) -> str:
    """Join what a provider split: two halves of a surrogate pair become their character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _nothing() -> dict[str, Any]:
    return {
        "status": "queued",
        "attempt": 0,
        "text": "",
        "reasoning": "",
        "refusal": "",
        "tool_calls": {},
        "tool_results": [],
        "json": {},
        "violations": [],
        "usage": None,
        "error": None,
        "finish_reason": None,
        "cursor": None,
    }


def _apply(answer: dict[str, Any], event: str, data: Any) -> None:
    match event:
        case "attempt":
            kept = answer["cursor"]
            answer.update(_nothing(), status="running", attempt=data["attempt"], cursor=kept)
        case "token" | "reasoning" | "refusal":
            answer[TEXTS[event]] += data["text"]
        case "tool_call":
            new = {"id": None, "name": None, "arguments": "", "done": False}
            call = answer["tool_calls"].setdefault(data["index"], new)
            if call["done"]:
                raise ValueError(f"a piece of call {data['index']} after it was complete")
            call["id"] = data.get("id") or call["id"]
            call["name"] = data.get("name") or call["name"]
            call["arguments"] += data["arguments"]
        case "tool_call_done":
            _check_done(answer, data)
        case "tool_result":
            _check_result(answer, data)
            answer["tool_results"].append(data)
        case "json":
            _apply_ops(answer, [data])
        case "completed" | "failed" | "cancelled":
            answer["status"] = event
            answer["usage"] = data["usage"]
            answer["finish_reason"] = data.get("finish_reason")
            answer["violations"] = data.get("violations", [])
            if event == "failed":
                answer["error"] = {"code": data["code"], "message": data["message"]}
    if event in FOLDABLE:
        _apply_ops(answer, data.get("json", []))


def _apply_ops(answer: dict[str, Any], values: Iterable[dict[str, Any]]) -> None:
    for each in values:
        target = each["target"]
        # `apply` consumes the ops, and a frame may be read again: so a copy.
        answer["json"][target] = apply(answer["json"].get(target, NOTHING), deepcopy(each["ops"]))


def _check_done(answer: dict[str, Any], done: dict[str, Any]) -> None:
    """Check that a complete call equals its pieces and is announced once."""
    call = answer["tool_calls"].get(done["index"])
    if call is None or call["done"]:
        raise ValueError(f"call {done['index']} is complete, but had no pieces")
    call["done"] = True
    pieces = (call["id"], call["name"] or "", whole(call["arguments"]))
    if pieces != (done["id"], done["name"], whole(done["arguments"])):
        raise ValueError(f"call {done['index']} came in pieces as {pieces!r}")


def _check_result(answer: dict[str, Any], result: dict[str, Any]) -> None:
    """Check that a result belongs to one complete call, and is either content or error."""
    calls = [call for call in answer["tool_calls"].values() if call["done"] and call["id"] == result["id"]]
    if len(calls) != 1 or calls[0]["name"] != result["name"]:
        raise ValueError(f"a result for {result['id']}, which is not a complete call")
    if any(other["id"] == result["id"] for other in answer["tool_results"]):
        raise ValueError(f"a second result for {result['id']}")
    if ("content" in result) == ("error" in result):
        raise ValueError(f"the result for {result['id']} is not one of content and error")
