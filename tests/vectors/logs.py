"""Owns the vectors' logs and the answers they must reduce to, both written by hand.

Pure data. What byte streams the logs become is the API's encoder's to say (`make.py`).
"""

from dataclasses import dataclass, field
from typing import Any, Final

E0: Final = 1_795_330_013_450
"""The epoch of `queued`; attempts and terminals by `finish` have E0 + 100, + 200, ..."""

ID: Final = "gen_0123456789abcdef0123456789abcdef"
USAGE: Final = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
GUESSED: Final = {**USAGE, "estimated": True}

Event = tuple[str, dict[str, Any]]
Step = tuple[str, str, Any]


@dataclass(frozen=True)
class Vector:
    """One log by epochs, and what it must reduce to."""

    name: str
    about: str
    epochs: list[list[Event]]
    answer: dict[str, Any]
    """Only what differs from the answer that `base_answer` gives."""
    resume: list[tuple[int, int]] = field(default_factory=list)
    """Cursors, as (epoch number, seq), after which a stream is given."""
    refused: list[list[Event]] = field(default_factory=list)
    """Events that must not be applied after the log so far, each list for itself."""


def queued() -> list[Event]:
    return [("queued", {"id": ID, "model": "demo", "created_at": 1795330013.25})]


def attempt(number: int = 1, reason: str = "started") -> Event:
    return ("attempt", {"attempt": number, "reason": reason})


def token(text: str) -> Event:
    return ("token", {"text": text})


def ops(target: str, *steps: Step) -> Event:
    return ("json", {"target": target, "ops": [{"op": op, "path": path, "value": value} for op, path, value in steps]})


def call(index: int, arguments: str, **named: str) -> Event:
    return ("tool_call", {"index": index, **named, "arguments": arguments})


def completed(chars: int, events: int, finish_reason: str = "stop", **more: Any) -> Event:
    return (
        "completed", {"finish_reason": finish_reason, "usage": USAGE, "chars": chars, "events": events, **more},
    )  # fmt: skip


DONE: Final = {"status": "completed", "usage": USAGE, "finish_reason": "stop"}

MISFITS: Final[list[Step]] = [
    ("append", "", "x"), ("append", "/a", "x"), ("append", "/n", "x"), ("append", "/gone", "x"), ("append", "/s", 1),
    ("append", "/s/0", "x"), ("append", "/a/1", "x"), ("append", "/a/length", "x"),
    ("set", "/gone", 1), ("set", "/a/1", 1), ("set", "/o/k/l", 1), ("set", "/s/0", "y"), ("set", "s", 1),
    ("set", "/a/length", 0),
    ("add", "", 1), ("add", "/s", 1), ("add", "/a/0", 1), ("add", "/a/2", 1), ("add", "/a/-", 1), ("add", "/a/01", 1),
    ("add", "/a/length", 1), ("add", "/gone/k", 1), ("add", "/n/k", 1),
    ("move", "/s", "/o"),
]  # fmt: skip
"""On the value of `json_misfits`."""

MISFITS_OF_NOTHING: Final[list[Step]] = [("append", "", "x"), ("add", "", {}), ("add", "/k", 1), ("set", "/k", 1)]
"""On a target that has no value yet."""

VECTORS: Final = [
    Vector(
        "text", "Tokens alone: folds may begin at any seq and end at any other.",
        [queued(), [attempt(), token("The"), token(" sea"), token(" is"), token(" blue."), completed(16, 6)]],
        DONE | {"text": "The sea is blue."}, [(0, 0), (1, 0), (1, 2), (1, 4), (1, 5)],
    ),
    Vector(
        "open", "A log that is not closed yet: a client shows what there is, and waits.",
        [queued(), [attempt(), token("The"), token(" sea")]],
        {"text": "The sea"}, [(1, 1)],
    ),
    Vector(
        "queued", "Nothing but the first event: no attempt, no text.",
        [queued()], {"status": "queued", "attempt": 0},
    ),
    Vector(
        "kinds", "Reasoning, refusal and text do not mix, and do not fold with each other.",
        [queued(), [
            attempt(), ("reasoning", {"text": "Light"}), ("reasoning", {"text": " is"}), token("It"), token(" is"),
            ("reasoning", {"text": " scattered"}), token(" blue"), ("refusal", {"text": "I can"}),
            ("refusal", {"text": "not."}), completed(10, 10),
        ]],
        DONE | {"text": "It is blue", "reasoning": "Light is scattered", "refusal": "I cannot."}, [(1, 1), (1, 3)],
    ),
    Vector(
        "escapes", "Line ends, separators, quotes and zero in a text: data stays one line.",
        [queued(), [attempt(), token("a\nb\r\nc\u2028d\u0085"), token('"\\\u0000: '), completed(14, 4)]],
        DONE | {"text": 'a\nb\r\nc\u2028d\u0085"\\\u0000: '}, [(1, 1)],
    ),
    Vector(
        "halves", "Halves of a character in two events are one character; a half that stays alone is U+FFFD here.",
        [queued(), [
            attempt(), token("\ud83c"), token("\udf0a!"), ("reasoning", {"text": "\ud83d"}),
            call(0, '{"a":"\ud83c', id="call_1", name="f"), call(0, '\udf0a"}'),
            ops("call_1", ("set", "", {"a": "\ud83c"})), ops("call_1", ("append", "/a", "\udf0a")),
            ("failed", {"code": "upstream_truncated", "message": "The stream ended without a finish reason.",
                        "retryable": True, "usage": GUESSED, "chars": 2, "events": 9}),
        ]],
        {
            "status": "failed", "text": "🌊!", "reasoning": "\ufffd", "usage": GUESSED,
            "tool_calls": [{"index": 0, "id": "call_1", "name": "f", "arguments": '{"a":"🌊"}'}],
            "json": {"call_1": {"a": "🌊"}},
            "error": {"code": "upstream_truncated", "message": "The stream ended without a finish reason.",
                      "retryable": True},
        }, [(1, 1), (1, 4), (1, 6)],
    ),
    Vector(
        "tools", "Two calls whose pieces are mixed, whole calls, results, and text of the next turn.",
        [queued(), [
            attempt(), token("Let me look. "), call(0, "", id="call_1", name="weather"), call(1, "{", id="call_2"),
            call(0, '{"city":'), call(0, '"Oslo"}'), call(1, "}", name="clock"),
            ("tool_call_done", {"index": 0, "id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}),
            ("tool_call_done", {"index": 1, "id": "call_2", "name": "clock", "arguments": "{}"}),
            ("tool_result", {"id": "call_2", "name": "clock", "error": "It stands still.", "duration_ms": 3}),
            ("tool_result", {"id": "call_1", "name": "weather", "content": "12 C", "duration_ms": 80}),
            token("12 C"), token(" in Oslo."), completed(26, 14),
        ]],
        DONE | {
            "text": "Let me look. 12 C in Oslo.",
            "tool_calls": [
                {"index": 0, "id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
                {"index": 1, "id": "call_2", "name": "clock", "arguments": "{}"},
            ],
            "tool_results": [
                {"id": "call_2", "name": "clock", "content": None, "error": "It stands still.", "duration_ms": 3},
                {"id": "call_1", "name": "weather", "content": "12 C", "error": None, "duration_ms": 80},
            ],
        }, [(1, 2), (1, 4), (1, 9)],
    ),
    Vector(
        "json", "A value that grows by each op, with its text and by itself; keys that are odd are only keys.",
        [queued(), [
            attempt(), token('{"city":"Os'), ops("output", ("set", "", {"city": "Os"})), token('lo","tags":["a"'),
            ops("output", ("append", "/city", "lo"), ("add", "/tags", []), ("add", "/tags/0", "a")),
            token(',"b"],"a/b~":{"__proto__":null}}'), ops("output", ("add", "/tags/1", "b")),
            ops("output", ("add", "/a~1b~0", {}), ("add", "/a~1b~0/__proto__", None)), completed(58, 9),
        ]],
        DONE | {
            "text": '{"city":"Oslo","tags":["a","b"],"a/b~":{"__proto__":null}}',
            "json": {"output": {"city": "Oslo", "tags": ["a", "b"], "a/b~": {"__proto__": None}}},
        }, [(1, 1), (1, 2), (1, 4), (1, 6)],
    ),
    Vector(
        "json_ops", "Each op at any path, as a client must take it, though our server would not send all of these.",
        [queued(), [
            attempt(),
            ops("output", ("set", "", "half"), ("append", "", "!")),
            ops("output", ("set", "", {"a": [1, "x"], "": 0, "b": None})),
            ops("output", ("set", "/", {"deep": "y"}), ("append", "/a/1", "yz"), ("set", "/a/0", [])),
            ops("output", ("add", "/a/2", {}), ("add", "/a/2/k", True), ("add", "/a/0/0", 1.5), ("set", "/b", False)),
            ops("other", ("set", "", None)),
            ops("output", ("append", "//deep", "z")),
            completed(0, 8),
        ]],
        DONE | {"json": {
            "output": {"a": [[1.5], "xyz", {"k": True}], "": {"deep": "yz"}, "b": False}, "other": None,
        }}, [(1, 2), (1, 4)],
    ),
    Vector(
        "json_misfits", "Ops that do not fit the value so far: a reducer refuses each of them.",
        [queued(), [attempt(), ops("output", ("set", "", {"a": [1], "s": "x", "n": 1, "o": {}}))]],
        {"json": {"output": {"a": [1], "s": "x", "n": 1, "o": {}}}},
        refused=[
            *([ops("output", step)] for step in MISFITS), *([ops("new", step)] for step in MISFITS_OF_NOTHING),
        ],
    ),
    Vector(
        "violations", "A finished value that is not what was asked for: completed all the same.",
        [queued(), [
            attempt(), token('{"n":'), ops("output", ("set", "", {})), token("1"),
            completed(6, 5, "length", violations=[
                {"target": "output", "path": "", "message": "The text ends before the JSON does."}]),
        ]],
        {"status": "completed", "usage": USAGE, "finish_reason": "length", "text": '{"n":1', "json": {"output": {}},
         "violations": [{"target": "output", "path": "", "message": "The text ends before the JSON does."}]},
        [(1, 1)],
    ),
    Vector(
        "attempts", "A new attempt forgets text, reasoning, refusal, calls, results and values.",
        [queued(), [
            attempt(), ("reasoning", {"text": "hm"}), token("The s"), call(0, "{}", id="call_1", name="f"),
            ops("call_1", ("set", "", {})),
            ("tool_call_done", {"index": 0, "id": "call_1", "name": "f", "arguments": "{}"}),
            ("tool_result", {"id": "call_1", "name": "f", "content": "1", "duration_ms": 1}),
            ("refusal", {"text": "no"}),
        ], [
            attempt(2, "worker_lost"), token("Blue"),
        ], [
            attempt(3, "upstream_interrupted"), token("It is"), token(" blue."), completed(11, 4),
        ]],
        DONE | {"attempt": 3, "text": "It is blue."}, [(1, 1), (1, 7), (2, 1), (3, 1)],
    ),
    Vector(
        "unknown", "Types, fields, reasons and finish reasons that no client knows: ids count, meanings do not.",
        [queued(), [
            ("attempt", {"attempt": 1, "reason": "full_moon", "mood": "fine"}), token("a"),
            ("sparkle", {"text": "!", "json": [{"target": "output", "ops": "no"}]}),
            ("token", {"text": "b", "confidence": 0.5}), ("sparkle", {}),
            completed(2, 6, "eos", mood="fine"),
        ]],
        DONE | {"text": "ab", "finish_reason": "eos"}, [(1, 1), (1, 2), (1, 4)],
    ),
    Vector(
        "failed", "The last attempt's worker gave up: what was said stands.",
        [queued(), [
            attempt(), token("The"), token(" sea"),
            ("failed", {"code": "upstream_timeout", "message": "The provider did not answer in time.",
                        "retryable": True, "usage": GUESSED, "chars": 7, "events": 4}),
        ]],
        {"status": "failed", "text": "The sea", "usage": GUESSED,
         "error": {"code": "upstream_timeout", "message": "The provider did not answer in time.", "retryable": True}},
        [(1, 1), (1, 2)],
    ),
    Vector(
        "cut", "Cancelled by a caller: the terminal has an epoch of its own, and `cut` is the event before it.",
        [queued(), [attempt(), token("The"), token(" sea")], [
            ("cancelled", {"reason": "requested", "usage": GUESSED, "chars": 7, "events": 4, "cut": f"{E0 + 100}-2"}),
        ]],
        {"status": "cancelled", "text": "The sea", "usage": GUESSED, "cursor": f"{E0 + 200}-0"}, [(1, 1), (1, 2)],
    ),
    Vector(
        "cut_before_any_attempt", "Failed while queued: nothing was said, and the terminal alone counts.",
        [queued(), [
            ("failed", {"code": "deadline_exceeded", "message": "The answer was not finished by its deadline.",
                        "retryable": True, "usage": GUESSED, "chars": 0, "events": 1, "cut": f"{E0}-0"}),
        ]],
        {"status": "failed", "attempt": 0, "usage": GUESSED,
         "error": {"code": "deadline_exceeded", "message": "The answer was not finished by its deadline.",
                   "retryable": True}},
        [(0, 0)],
    ),
]  # fmt: skip


def base_answer(vector: Vector) -> dict[str, Any]:
    """An answer of which nothing was said, at the log's last event."""
    epochs = vector.epochs
    return {
        "status": "running", "attempt": 1, "cursor": cursor(len(epochs) - 1, len(epochs[-1]) - 1), "text": "",
        "reasoning": "", "refusal": "", "tool_calls": [], "tool_results": [], "json": {}, "usage": None,
        "finish_reason": None, "violations": [], "error": None,
    }  # fmt: skip


def cursor(epoch: int, seq: int) -> str:
    return f"{E0 + 100 * epoch}-{seq}"
