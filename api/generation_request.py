"""Owns what a caller may ask for: the body of a create, as a model that validates it.

Pure. What providers and OpenAI's other formats mean by a field is in `wires/` and in the worker.
"""

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from outlive.api.schemas import RightsName
from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO, OnInterrupt
from outlive.shared.upstreams import BETWEEN_TOKENS_S, FIRST_TOKEN_S, NAME

OUR_FIELDS: Final = frozenset({
    "deadline_s", "retention_s", "on_interrupt", "metadata", "token", ECHO, NAME, FIRST_TOKEN_S, BETWEEN_TOKENS_S,
})  # fmt: skip
"""Fields for Outlive; the provider never gets them."""

STREAM_FIELDS: Final = frozenset({"stream", "stream_options"})
"""Accepted because existing code sends them, and dropped: the worker streams every generation."""

_MAX_METADATA_BYTES: Final = 4096

_WITHOUT_A_WIRE: Final = {
    "modalities": "asks for an answer that is not text, which no wire of this server can send",
    "audio": "asks for an answer that is sound, which no wire of this server can send",
    "logprobs": "cannot be sent by any wire of this server",
    "top_logprobs": "cannot be sent by any wire of this server",
}
"""Fields that ask for what no wire can send: refused here, or the caller would pay for what nobody sees."""
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, [], {})
_TOOL_TYPES: Final = frozenset({"function", "custom"})

MAX_ITEMS: Final = 10_000
"""Messages, tools or input items of one request: far more than any provider takes."""

_LISTS: Final = ("messages", "tools")

_MIN_S: Final = 0.1
"""Redis keeps time in ms, and a worker needs some time to start."""

Message = Annotated[
    dict[str, Any],
    WithJsonSchema({
        "type": "object", "properties": {"role": {"type": "string", "minLength": 1}}, "required": ["role"],
    }),
]  # fmt: skip
Limit = Annotated[float | None, Field(ge=_MIN_S, allow_inf_nan=False)]


class GenerationRequest(BaseModel):
    """An OpenAI Chat Completions request, plus fields for Outlive.

    A field that is not listed here goes to the provider unchanged.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_ITEMS)]
    tools: list[dict[str, Any]] | None = Field(
        None,
        max_length=MAX_ITEMS,
        description="An entry with the name of a tool of the workers offers that tool; the workers add its "
        "description and schema, and run it.",
    )
    response_format: dict[str, Any] | None = None
    n: int | None = Field(
        None, description="Must be 1: one generation is one answer.", json_schema_extra={"enum": [1, None]}
    )
    upstream: Annotated[str | None, Field(min_length=1, max_length=40)] = Field(
        None, description="The name of one of this server's upstreams. Default: the first that serves the model."
    )
    max_tokens: int | None = Field(None, description="Goes to the provider. This server has a maximum.")
    max_completion_tokens: int | None = Field(None, description="The name of `max_tokens` for newer models.")
    stream: Any = Field(None, description="Accepted and ignored.")
    stream_options: Any = Field(None, description="Accepted and ignored.")
    deadline_s: Limit = Field(None, description="Seconds for the whole answer, including the time in the queue.")
    retention_s: Limit = Field(None, description="Seconds for which the answer can be read after its end.")
    first_token_s: Limit = Field(None, description="Seconds that the provider may be silent before its first piece.")
    between_tokens_s: Limit = Field(None, description="The same between its pieces.")
    on_interrupt: OnInterrupt = Field("restart", description="When the provider breaks off or a worker is lost.")
    metadata: dict[str, Any] | None = Field(None, description="Data of the caller's own, up to 4 kB of JSON.")
    token: RightsName | None = Field(None, description="Return a token for this generation with these rights.")

    @field_validator("messages")
    @classmethod
    def _have_roles(cls, messages: list[Message]) -> list[Message]:
        for i, message in enumerate(messages):
            if not isinstance(message.get("role"), str) or not message["role"]:
                raise ValueError(f"message {i} needs a `role`, a text that is not empty")
        return messages

    @model_validator(mode="after")
    def _has_a_wire(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if (
                (reason := _WITHOUT_A_WIRE.get(name)) is not None
                and value not in _NOTHING
                and not _is_text_only(name, value)
            ):
                raise ValueError(f"`{name}` {reason}; remove it from the request")
        for i, tool in enumerate(self.tools or ()):
            if (kind := tool.get("type", "function")) not in _TOOL_TYPES:
                raise ValueError(
                    f"tools[{i}] has the type `{kind}`, which no wire of this server can send; use `function`"
                )
        return self

    @field_validator("n")
    @classmethod
    def _one_answer(cls, n: int | None) -> int | None:
        if n not in (None, 1):
            raise ValueError("must be 1, because one generation is one answer; create several generations instead")
        return n

    @field_validator("metadata")
    @classmethod
    def _small(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        if metadata is not None and len(encode_json(metadata)) > _MAX_METADATA_BYTES:
            raise ValueError(f"must not be larger than {_MAX_METADATA_BYTES} bytes of JSON")
        return metadata


def check_lists(body: dict[str, Any]) -> None:
    """Refuse lists that are too long or hold what is not an object, before pydantic sees them: it makes one error
    for each item, which takes seconds for a million. Raises `BadRequest`."""
    for name in _LISTS:
        items = body.get(name)
        if isinstance(items, list):
            check_length(name, items)
            for i, item in enumerate(items):
                if not isinstance(item, dict):
                    raise BadRequest(f"`{name}.{i}`: must be an object.", param=name)


def check_length(name: str, items: list[Any]) -> None:
    """Raises `BadRequest`."""
    if len(items) > MAX_ITEMS:
        raise BadRequest(f"`{name}` has {len(items)} items, but may have at most {MAX_ITEMS}.", param=name)


def _is_text_only(name: str, value: Any) -> bool:
    return name == "modalities" and value == ["text"]
