"""Owns the shapes of bodies: the request as a model that checks, the answers as typed dicts.

Pure. Answers are dicts because they are written by `json_bodies.py`, which knows how to write any text;
the types serve mypy and the OpenAPI document. Events have their shapes in `shared/model/events.py`.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator
from typing_extensions import TypedDict

from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO, OnInterrupt
from outlive.shared.upstreams import NAME

OUR_FIELDS: Final = frozenset({"deadline_s", "retention_s", "on_interrupt", "metadata", "token", ECHO, NAME})
"""Ours, not the provider's: never sent upstream."""

STREAM_FIELDS: Final = frozenset({"stream", "stream_options"})
"""Accepted, because existing code sends them, and dropped: every generation is streamed."""

_MAX_METADATA_BYTES: Final = 4096

# Redis keeps time in ms, and a worker has to be given a chance.
_MIN_S: Final = 0.1

RightsName = Literal["view", "view+cancel"]
StatusName = Literal["queued", "running", "completed", "failed", "cancelled"]
Message = Annotated[
    dict[str, Any],
    WithJsonSchema({
        "type": "object", "properties": {"role": {"type": "string", "minLength": 1}}, "required": ["role"],
    }),
]  # fmt: skip
Limit = Annotated[float | None, Field(ge=_MIN_S, allow_inf_nan=False)]


class GenerationRequest(BaseModel):
    """An OpenAI Chat Completions request, plus how long and how persistently to try.

    Any field not named here goes to the provider untouched.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[dict[str, Any]] | None = Field(
        None, description="An entry that names a tool of the workers offers that one; they complete and run it."
    )
    response_format: dict[str, Any] | None = None
    n: int | None = Field(
        None, description="Only 1: one generation is one answer.", json_schema_extra={"enum": [1, None]}
    )
    upstream: Annotated[str | None, Field(min_length=1, max_length=40)] = Field(
        None, description="The name of an upstream of this server; when not given, the first that serves the model."
    )
    max_tokens: int | None = Field(None, description="Goes to the provider; no more than this server allows.")
    max_completion_tokens: int | None = Field(None, description="The same, as newer models call it.")
    stream: Any = Field(None, description="Accepted and ignored.")
    stream_options: Any = Field(None, description="Accepted and ignored.")
    deadline_s: Limit = Field(None, description="The whole answer's time in seconds, queue included.")
    retention_s: Limit = Field(None, description="How long the answer can be read after its end, in seconds.")
    on_interrupt: OnInterrupt = Field("restart", description="When the provider breaks off or a worker is lost.")
    metadata: dict[str, Any] | None = Field(None, description="The caller's own notes, up to 4 kB of JSON.")
    token: RightsName | None = Field(None, description="Answer with a token for this generation, with these rights.")

    @field_validator("messages")
    @classmethod
    def _have_roles(cls, messages: list[Message]) -> list[Message]:
        for i, message in enumerate(messages):
            if not isinstance(message.get("role"), str) or not message["role"]:
                raise ValueError(f"message {i} has no role")
        return messages

    @field_validator("n")
    @classmethod
    def _one_answer(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("one generation is one answer, so n can only be 1; create several generations instead")
        return n

    @field_validator("metadata")
    @classmethod
    def _small(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        if metadata is not None and len(encode_json(metadata)) > _MAX_METADATA_BYTES:
            raise ValueError(f"metadata is larger than {_MAX_METADATA_BYTES} bytes of JSON")
        return metadata


class TokenRequest(BaseModel):
    """What a token for one generation shall be good for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rights: RightsName = "view"
    expires_s: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = Field(
        None, description="From now; when not given, longer than any generation can be read."
    )
    cookie: bool = Field(False, description="Set it as a cookie for this host instead of answering with it.")


class Minted(TypedDict):
    """A token for one generation. `expires_at` is in Unix seconds."""

    token: str
    rights: RightsName
    expires_at: int


class MintedCookie(TypedDict):
    """The same, when the token went into a cookie."""

    rights: RightsName
    expires_at: int


class Urls(TypedDict):
    """Where to go on, relative to this server."""

    self: str
    events: str
    cancel: str


class Created(TypedDict):
    """A generation that exists now. Times are Unix seconds, by Redis' clock."""

    id: str
    status: StatusName
    model: str
    created_at: float
    urls: Urls
    token: NotRequired[Minted]


class Ended(TypedDict):
    """What became of it."""

    id: str
    status: StatusName


class SnapshotToolCall(TypedDict):
    """One tool call, its arguments joined."""

    index: int
    id: str | None
    name: str | None
    arguments: str


class SnapshotToolResult(TypedDict):
    """What the worker got from running call `id`: either `content` or `error`."""

    id: str
    name: str
    content: str | None
    error: str | None
    duration_ms: int


class SnapshotUsage(TypedDict, total=False):
    """Tokens billed; `estimated` when the provider did not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool
    prompt_tokens_details: dict[str, Any]
    completion_tokens_details: dict[str, Any]


class SnapshotError(TypedDict):
    """Why it failed."""

    code: str
    message: str
    retryable: bool


class SnapshotViolation(TypedDict):
    """Where a finished JSON value is not what was asked for; an empty `path` is all of it."""

    target: str
    path: str
    message: str


class Reduced(TypedDict):
    """What the log alone says."""

    status: StatusName
    attempt: int
    cursor: str
    text: str
    reasoning: str
    refusal: str
    tool_calls: list[SnapshotToolCall]
    tool_results: list[SnapshotToolResult]
    json: dict[str, Any]
    usage: SnapshotUsage | None
    finish_reason: str | None
    violations: list[SnapshotViolation]
    error: SnapshotError | None


class Snapshot(Reduced):
    """The answer so far. `cursor` continues exactly after it. Times are Unix seconds."""

    id: str
    model: str
    metadata: dict[str, Any]
    viewers: int
    created_at: float
    started_at: float | None
    finished_at: float | None


class Viewers(TypedDict):
    """How many watch now, on all processes; up to a second old."""

    viewers: int


class Listed(TypedDict):
    """One generation in a list: its state, without what it says. Times are Unix seconds."""

    id: str
    status: StatusName
    model: str
    attempt: int
    metadata: dict[str, Any]
    created_at: float
    started_at: float | None
    finished_at: float | None


class Page(TypedDict):
    """Newest first. `next` is the `before` of the next page, null at the end. A page may be short."""

    generations: list[Listed]
    next: str | None


class Health(TypedDict):
    """Alive, or ready."""

    status: Literal["ok"]


class Problem(TypedDict):
    """RFC 9457. `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def sentences(errors: object) -> str:
    """pydantic's complaints as text. What was sent is not repeated: it may be a secret, or huge."""
    found = errors if isinstance(errors, list | tuple) else []
    said = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg'].removeprefix('Value error, ')}." for e in found[:5]]
    return " ".join(said).replace("..", ".") or "The request is not valid."
