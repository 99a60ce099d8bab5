"""Owns the promises as checks: what all viewers of one generation must have seen.

Pure. Tests refer to these numbers:

    I1  ids strictly increase between resets
    I2  inside an epoch seq is 0, 1, 2, ... without a hole; a folded frame counts as its range
    I3  one id has one meaning, over all viewers and replicas
    I4  there is at most one terminal, and it is last
    I5  every viewer has the same terminal
    I6  all viewers reduce to the same answer, which is the snapshot's
    I7  the terminal's `chars` and `events` match what was seen
    I9  no viewer sees an event of another generation

If the log is given, each viewer is compared with it as well: the viewer saw everything between its first and its
last event, nothing else, and the same bytes.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NoReturn

from outlive.shared.model.cursor import Cursor
from outlive.shared.model.json_ops import compose
from tests.support.sse import Frame
from tests.support.transcript import FOLDABLE, TERMINALS, SeenFrame, Segment, Transcript, reduce, whole

LogEntry = tuple[str, str, str]
"""id, type, data."""

_SAME_IN_SNAPSHOT: Final = (
    "status", "text", "reasoning", "refusal", "json", "violations", "finish_reason", "usage",
)  # fmt: skip


def check_invariants(
    transcripts: Sequence[Transcript],
    snapshot: Mapping[str, Any] | None = None,
    log: Sequence[LogEntry] | None = None,
    *,
    finished: bool = True,
    lost_endings: Collection[str] = (),
) -> None:
    """Check I1..I7 and I9 on the transcripts of one generation. Raises AssertionError.

    `finished`: every viewer must have come to the terminal. `lost_endings`: ids of terminals that a failover is
    known to have taken from the log. Only then viewers may end differently; all viewers that ended with another
    terminal must still agree.
    """
    known: dict[tuple[int, int], tuple[str, str, Transcript]] = {}
    raws: dict[tuple[int, int, int], tuple[bytes, Transcript]] = {}
    for transcript in transcripts:
        _check_frames(transcript)
        for segment in transcript.segments():
            _check_order(transcript, segment)
            _learn(transcript, segment, known, raws)
    for transcript in transcripts:
        for segment in transcript.segments():
            _check_folds(transcript, segment, known)
    _check_terminals(transcripts, finished, lost_endings)
    for transcript in transcripts:
        _check_totals(transcript)
    _check_answers(transcripts, snapshot, finished)
    if log is not None:
        _check_log(transcripts, log)


def _check_frames(transcript: Transcript) -> None:
    frames = transcript.frames
    for i, frame in enumerate(frames):
        if not frame.id and frame.event != "reset":
            _broken("I1", f"`{frame.event}` has no id", transcript, frame)
        if frame.event in TERMINALS and i != len(frames) - 1:
            _broken("I4", "something follows the terminal", transcript, frame)
        if frame.event == "queued" and frame.data["id"] != transcript.generation_id:
            _broken("I9", f"an event of {frame.data['id']}", transcript, frame)


def _check_order(transcript: Transcript, segment: Segment) -> None:
    before = segment.after
    for s in segment.seen:
        begin = Cursor(s.cursor.epoch, s.first)
        if s.first > s.cursor.seq or s.cursor <= before or begin <= before:
            _broken("I1", f"not after {before}", transcript, s.frame)
        expected = before.seq + 1 if s.cursor.epoch == before.epoch else 0
        if s.first != expected:
            _broken("I2", f"starts at seq {s.first} where {expected} was due", transcript, s.frame)
        before = s.cursor


def _learn(
    transcript: Transcript,
    segment: Segment,
    known: dict[tuple[int, int], tuple[str, str, Transcript]],
    raws: dict[tuple[int, int, int], tuple[bytes, Transcript]],
) -> None:
    for s in segment.seen:
        raw, other = raws.setdefault((*s.cursor, s.first), (s.frame.raw, transcript))
        if raw != s.frame.raw:
            _broken("I3", f"{other.name} got {raw!r}\nand this viewer {s.frame.raw!r}", transcript, s.frame)
        if not s.folded:
            known.setdefault(s.cursor, (s.frame.event, s.frame.text, transcript))


def _check_folds(
    transcript: Transcript, segment: Segment, known: Mapping[tuple[int, int], tuple[str, str, Transcript]]
) -> None:
    for s in segment.seen:
        if not s.folded:
            continue
        pieces = [known.get((s.cursor.epoch, seq)) for seq in range(s.first, s.cursor.seq + 1)]
        entries = [(piece[0], piece[1]) for piece in pieces if piece is not None]
        if len(entries) == len(pieces):
            fault = _fold_fault(s, entries)
            if fault is not None:
                _broken("I3", fault, transcript, s.frame)


def _fold_fault(s: SeenFrame, entries: Sequence[tuple[str, str]]) -> str | None:
    """What is wrong with a folded frame, given all the entries it covers."""
    kind, folded = s.frame.event, s.frame.data
    types = {event for event, _ in entries}
    if kind not in FOLDABLE or entries[0][0] != kind or not types <= {kind, "json"}:
        return f"a fold of {sorted(types)}"
    datas = [(event, Frame(None, event, text, b"", "").data) for event, text in entries]
    steps = [data for event, data in datas if event == "json"]
    folded_steps = [folded] if kind == "json" else folded.get("json", [])
    if fault := _steps_fault(steps, folded_steps):
        return fault
    if kind == "json":
        return None
    parts = [data for event, data in datas if event == kind]
    field = "arguments" if kind == "tool_call" else "text"
    joined = "".join(part[field] for part in parts)
    if whole(joined) != whole(folded[field]):
        return f"the events of the fold join to {joined!r}"
    if field == "arguments" and {part["index"] for part in parts} != {folded["index"]}:
        return "a fold over several tool calls"
    return None


def _steps_fault(steps: Sequence[dict[str, Any]], folded_steps: Sequence[dict[str, Any]]) -> str | None:
    """What is wrong with folded steps of JSON values: they must have the effect of their events."""
    targets = list(dict.fromkeys(step["target"] for step in steps))
    if [each["target"] for each in folded_steps] != targets:
        return f"a fold over the values {targets}"
    for each in folded_steps:
        ops = [op for step in steps if step["target"] == each["target"] for op in step["ops"]]
        # Through JSON, where two halves of a character become one.
        if each["ops"] != json.loads(json.dumps(compose(deepcopy(ops)))):
            return f"the steps of {each['target']} in the fold compose to something else"
    return None


def _check_terminals(transcripts: Sequence[Transcript], finished: bool, lost: Collection[str]) -> None:
    ended = [t for t in transcripts if t.terminal is not None and t.terminal.id not in lost]
    for transcript in ended:
        ours, first = transcript.terminal, ended[0].terminal
        assert ours is not None
        assert first is not None
        if ours.raw != first.raw:
            _broken("I5", f"{ended[0].name} ended with {first}", transcript, ours)
    # A viewer that resumed at the terminal's own id was answered that there is nothing more.
    at_end = {t.terminal.id for t in ended if t.terminal is not None}
    for transcript in transcripts:
        if finished and transcript.terminal is None and str(transcript.after) not in at_end:
            _broken("I5", "never came to the terminal", transcript)


def _check_totals(transcript: Transcript) -> None:
    terminal = transcript.terminal
    if terminal is None:
        return
    segment = transcript.segments()[-1]
    last, data = segment.seen[-1], terminal.data
    cut = Cursor.parse(data["cut"]) if "cut" in data else None
    if cut is not None and last.cursor.seq != 0:
        _broken("I7", "a terminal with `cut` must be in its own epoch, at seq 0", transcript, terminal)
    if not segment.is_whole:
        return
    counted = [s for s in segment.seen[:-1] if cut is None or s.cursor <= cut]
    starts = [i for i, s in enumerate(counted) if s.frame.event == "attempt"]
    attempt = counted[starts[-1] :] if starts else []
    events = 1 + sum(s.cursor.seq - s.first + 1 for s in attempt)
    text = whole("".join(s.frame.data["text"] for s in attempt if s.frame.event == "token"))
    if data["events"] != events:
        _broken("I7", f"`events` is {data['events']}, seen were {events}", transcript, terminal)
    if data["chars"] != len(text):
        _broken("I7", f"`chars` is {data['chars']}, seen were {len(text)}", transcript, terminal)


def _check_answers(transcripts: Sequence[Transcript], snapshot: Mapping[str, Any] | None, finished: bool) -> None:
    """Viewers at the same cursor that saw everything before it have the same answer."""
    answers: dict[str, tuple[dict[str, Any], Transcript]] = {}
    for transcript in transcripts:
        segment = transcript.segments()[-1]
        if not segment.is_whole or not segment.seen:
            continue
        try:
            answer = reduce(segment.seen)
        except ValueError as fault:
            _broken("I6", str(fault), transcript)
        first, other = answers.setdefault(answer["cursor"], (answer, transcript))
        for name, value in answer.items():
            if value != first[name]:
                _broken("I6", f"{name} is {value!r}\nand {other.name} has {first[name]!r}", transcript)
    if snapshot is None:
        return
    for cursor, (answer, transcript) in answers.items():
        if finished and snapshot["cursor"] != cursor:
            _broken("I6", f"the snapshot is at {snapshot['cursor']}", transcript)
        if snapshot["cursor"] == cursor:
            _check_snapshot(transcript, answer, snapshot)


def _check_snapshot(transcript: Transcript, answer: dict[str, Any], snapshot: Mapping[str, Any]) -> None:
    pairs = [(name, answer[name], snapshot[name]) for name in _SAME_IN_SNAPSHOT if name in snapshot]
    pairs.append(("attempt", answer["attempt"], snapshot.get("attempt") or 0))
    ours, theirs = answer["error"], snapshot.get("error")
    pairs.append(("error", ours and ours["code"], theirs and theirs["code"]))
    calls = [{key: call.get(key) for key in ("id", "name", "arguments")} for call in snapshot["tool_calls"]]
    pairs.append(("tool_calls", answer["tool_calls"], calls))
    results = [{key: value for key, value in one.items() if value is not None} for one in snapshot["tool_results"]]
    pairs.append(("tool_results", answer["tool_results"], results))
    for name, mine, other in pairs:
        # An empty field is null on one side and an empty text on the other.
        if (mine or None) != (other or None):
            _broken("I6", f"{name} is {mine!r}\nand the snapshot has {other!r}", transcript)


def _check_log(transcripts: Sequence[Transcript], log: Sequence[LogEntry]) -> None:
    entries = {Cursor.parse(entry_id): (kind, data) for entry_id, kind, data in log}
    order = list(entries)
    for transcript in transcripts:
        segment = transcript.segments()[-1]
        terminal = transcript.terminal
        cut = Cursor.parse(terminal.data["cut"]) if terminal and "cut" in terminal.data else None
        covered: list[Cursor] = []
        for s in segment.seen:
            if cut is not None and s.cursor > cut and s.frame is not terminal:
                continue
            cursors = [Cursor(s.cursor.epoch, seq) for seq in range(s.first, s.cursor.seq + 1)]
            covered += cursors
            in_log = [entries[at] for at in cursors if at in entries]
            if len(in_log) != len(cursors):
                _broken("I9", "not in the log", transcript, s.frame)
            fault = _fold_fault(s, in_log) if s.folded else None
            if not s.folded and in_log[0] != (s.frame.event, s.frame.text):
                fault = f"the log has {in_log[0]}"
            if fault is not None:
                _broken("I3", fault, transcript, s.frame)
        if covered:
            due = [at for at in order if segment.after < at <= covered[-1]]
            if due != covered:
                missing = [str(at) for at in due if at not in set(covered)]
                _broken("I2", f"never saw {missing} of the log", transcript)


def _broken(which: str, what: str, transcript: Transcript, frame: Frame | None = None) -> NoReturn:
    raise AssertionError(f"{which} broken: {what}\n{transcript.excerpt(frame)}")
