"""Owns the event types of a log and of the native wire, v1 (PROTOCOL.md, Events).

Pure data. `codec.py` turns an event into bytes; the log decides when it may be appended. Field order is wire order.
Fields that are None do not appear on the wire.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal

from outlive.shared.model.json_ops import Op


class EventType(StrEnum):
    """The closed list of types. Viewers ignore types they do not know (R12)."""

    QUEUED = "queued"
    ATTEMPT = "attempt"
    TOKEN = "token"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"
    TOOL_CALL_DONE = "tool_call_done"
    TOOL_RESULT = "tool_result"
    TURN = "turn"
    JSON = "json"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED})
"""Exactly one of these ends every log, and no event follows it (R5)."""

FOLDABLE: Final = frozenset({EventType.TOKEN, EventType.REASONING, EventType.REFUSAL, EventType.TOOL_CALL})
"""A viewer that is behind may get a run of one of these as one frame; a run of tool calls only within one call (R9).
`json` folds into them, and with itself (R33)."""

OUTPUT: Final = "output"
"""The `target` of `json` events of the answer itself; every other target names a tool call."""

type_of_bytes: Final = {t.value.encode(): t for t in EventType}
"""An entry's `type` as a log holds it -> ours. Types we do not know are missing."""

TERMINAL_BYTES: Final = frozenset(t.value.encode() for t in TERMINAL)
FOLDABLE_BYTES: Final = frozenset(t.value.encode() for t in FOLDABLE)
"""The same sets, for readers that do not decode what a log holds."""

AttemptReason = Literal["started", "worker_lost", "worker_shutdown", "upstream_interrupted"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed, in OpenAI's words. `estimated` when the provider sent no usage (R14)."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """First event of every log; written by `create`. `created_at` is Redis time, in seconds."""

    type: ClassVar = EventType.QUEUED
    id: str
    model: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A worker starts, or starts again: forget all output of earlier attempts."""

    type: ClassVar = EventType.ATTEMPT
    attempt: int
    reason: AttemptReason


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer's text."""

    type: ClassVar = EventType.TOKEN
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The next piece of the model's reasoning."""

    type: ClassVar = EventType.REASONING
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The next piece of a refusal the model gives instead of an answer."""

    type: ClassVar = EventType.REFUSAL
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The next piece of one tool call's `arguments`; its first event carries `id` and `name`."""

    type: ClassVar = EventType.TOOL_CALL
    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Json:
    """Steps that turn the value of `target` so far (nothing at first) into the next."""

    type: ClassVar = EventType.JSON
    target: str
    ops: list[Op]


@dataclass(frozen=True, slots=True)
class Violation:
    """Where a finished JSON value is not what the request asked for; an empty `path` means the whole value."""

    target: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ToolCallDone:
    """One whole tool call, after its last piece."""

    type: ClassVar = EventType.TOOL_CALL_DONE
    index: int
    id: str
    name: str
    arguments: str
    provider: dict[str, Any] | None = None
    """Members of the call that only the provider understands, such as a signature. They go back to it as they came."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of running call `id`: either `content` or an `error`, both for the model."""

    type: ClassVar = EventType.TOOL_RESULT
    id: str
    name: str
    content: str | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the model is complete: who answered, what it cost, and what only the provider understands of it.
    `chars` and `tokens` are the attempt's totals so far."""

    type: ClassVar = EventType.TURN
    upstream: str
    served_model: str | None
    usage: Usage
    chars: int
    tokens: int
    provider: dict[str, Any] | None = None
    """`message`: members of the message, which go back to the provider; `response`: members beside it, such as
    citations; `reasoning_as`: its name for reasoning; `finish_reason`: its own word, where OpenAI has another;
    `finish_reason_missing`; `left_out`: names of what was too large to keep."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The provider reported that the answer is whole."""

    type: ClassVar = EventType.COMPLETED
    finish_reason: str
    usage: Usage
    chars: int
    events: int
    violations: list[Violation] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer ends here, unfinished. `code` is stable (PROTOCOL.md, Failure codes)."""

    type: ClassVar = EventType.FAILED
    code: str
    message: str
    retryable: bool
    usage: Usage
    chars: int
    events: int
    cut: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A client stopped it. `cut` is the last event that still counts."""

    type: ClassVar = EventType.CANCELLED
    reason: str
    usage: Usage
    chars: int
    events: int
    cut: str | None = None


Delta = Token | Reasoning | Refusal | ToolCall
"""A model's output, piece by piece."""

Whole = ToolCallDone | ToolResult | Turn
"""Events that are neither split nor joined."""

Terminal = Completed | Failed | Cancelled

Event = Queued | Attempt | Delta | Json | Whole | Terminal
