"""Owns the shapes of bodies: small requests as models that validate, responses as typed dicts.

Pure. The body of a create is in `generation_request.py`. Responses are dicts because `json_bodies.py` writes them,
which can write any text; the types serve mypy and the OpenAPI document. The shapes of events are in
`shared/model/events.py`.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

RightsName = Literal["view", "view+cancel"]
StatusName = Literal["queued", "running", "completed", "failed", "cancelled"]


class TokenRequest(BaseModel):
    """The rights and the life of a token for one generation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rights: RightsName = "view"
    expires_s: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = Field(
        None, description="Seconds from now. Default: longer than any generation can be read."
    )
    cookie: bool = Field(False, description="Set the token as a cookie for this host, instead of returning it.")


class Minted(TypedDict):
    """A token for one generation. `expires_at` is in Unix seconds."""

    token: str
    rights: RightsName
    expires_at: int


class MintedCookie(TypedDict):
    """A token that was set as a cookie. `expires_at` is in Unix seconds."""

    rights: RightsName
    expires_at: int


class Urls(TypedDict):
    """Paths of this generation on this server."""

    self: str
    events: str
    cancel: str


class Created(TypedDict):
    """A generation that exists now. Times are Unix seconds of Redis' clock."""

    id: str
    status: StatusName
    model: str
    created_at: float
    urls: Urls
    token: NotRequired[Minted]


class Ended(TypedDict):
    """How a generation ended."""

    id: str
    status: StatusName


class SnapshotToolCall(TypedDict):
    """One tool call, its arguments joined."""

    index: int
    id: str | None
    name: str | None
    arguments: str


class SnapshotToolResult(TypedDict):
    """The result of running tool call `id`: either `content` or `error`."""

    id: str
    name: str
    content: str | None
    error: str | None
    duration_ms: int


class SnapshotUsage(TypedDict, total=False):
    """Billed tokens; `estimated` if the provider did not count them."""

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
    """Where a finished JSON value does not fit its schema; an empty `path` is the whole value."""

    target: str
    path: str
    message: str


class Reduced(TypedDict):
    """The part of a snapshot that comes from the log alone."""

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
    """The number of viewers now, on all processes; up to a second old."""

    viewers: int


class Listed(TypedDict):
    """One generation in a list: its state without its answer. Times are Unix seconds."""

    id: str
    status: StatusName
    model: str
    attempt: int
    metadata: dict[str, Any]
    created_at: float
    started_at: float | None
    finished_at: float | None


class Page(TypedDict):
    """Newest first. `next` is the `before` of the next page; null: this is the last page. A page may be short."""

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


_MAX_SENTENCES: Final = 5


def sentences(errors: object) -> str:
    """pydantic's errors as text. It does not repeat values, which may be secret or huge."""
    listed = errors if isinstance(errors, list | tuple) else []
    return " ".join(map(_sentence, listed[:_MAX_SENTENCES])) or "The request is not valid."


def _sentence(error: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"`{field}`: {message}." if field else f"{message}."
