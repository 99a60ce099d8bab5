"""Owns the parsing of a request: the body of a chat completion, and the options in its model name.

Pure. Everything is checked here, so that the other modules never get a bad request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from outlive.deploy.demo_model.faults import AT_THE_END, INSTEAD, WITHIN

MODEL: Final = "demo"

CALL_STYLES: Final = ("apart", "mixed", "named", "numbered", "bare", "zero")
FINISH_REASONS: Final = ("stop", "length", "tool_calls", "content_filter", "none")
FAULTS: Final = (*INSTEAD, *WITHIN, *AT_THE_END)


class Refused(Exception):
    """A response other than 200, in OpenAI's words."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def _number(maximum: float, default: float | None = 0.0) -> Any:
    return field(default=default, metadata={"max": maximum})


def _count(maximum: int, default: int | None = 0) -> Any:
    return field(default=default, metadata={"max": maximum})


@dataclass(frozen=True, slots=True)
class Wish:
    """The parameters in a model name; see the package's docstring.

    The upper limits are far above any use. They only keep a typing mistake from running for a week.
    """

    pace_s: float = _number(3600.0, 0.02)
    first_s: float = _number(3600.0)
    tokens: int | None = _count(10_000_000, None)
    chars: int | None = _count(1_000_000, None)
    reasoning: int = _count(10_000_000)
    refusal: int = _count(10_000_000)
    tools: int = _count(128)
    turns: int = _count(10_000, 1)
    seed: int = _count(2**63)
    echo: int = _count(1)
    usage: int = _count(1, 1)
    gate_after: int = _count(10_000_000)
    gate: str | None = None
    finish: str | None = None
    fault: str | None = None
    after: int = _count(10_000_000)
    times: int = _count(1_000, None)
    retry_after_s: float | None = _number(3600.0, None)
    retry_after_date_s: float | None = _number(3600.0, None)
    calls_as: str = "apart"

    @classmethod
    def parse(cls, model: str) -> Self:
        """Read `demo;name=value;...`. Raises `Refused`."""
        name, *parts = model.split(";")
        if name != MODEL:
            raise Refused(
                404, f"The model `{model}` does not exist; this server has `{MODEL}`.", code="model_not_found"
            )
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for part in parts:
            key, equals, text = part.partition("=")
            if key not in known or not equals or not text:
                raise _bad_model(f"`{part}` in the model name is not a parameter this server knows.")
            maximum = known[key].metadata.get("max")
            values[key] = text if maximum is None else _within(key, text, maximum)
        wish = cls(**values)
        if wish.finish is not None and wish.finish not in FINISH_REASONS:
            raise _bad_model(f"`finish={wish.finish}` is not one of {', '.join(FINISH_REASONS)}.")
        if wish.fault is not None and wish.fault not in FAULTS:
            raise _bad_model(f"`fault={wish.fault}` is not one of {', '.join(FAULTS)}.")
        if wish.calls_as not in CALL_STYLES:
            raise _bad_model(f"`calls_as={wish.calls_as}` is not one of {', '.join(CALL_STYLES)}.")
        if wish.chars == 0:
            raise _bad_model("`chars=0` would never end; use 1 or more.")
        return wish


def _within(key: str, text: str, maximum: float) -> float | int:
    try:
        value = type(maximum)(text)
    except ValueError:
        value = -1
    if not 0 <= value <= maximum:
        raise _bad_model(f"`{key}={text}` is not a number from 0 to {maximum}.")
    return value


def _bad_model(message: str) -> Refused:
    return Refused(400, message, param="model", code="invalid_model_parameter")


@dataclass(frozen=True, slots=True)
class Tool:
    """One function the model may call."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a chat completion, parsed."""

    model: str
    wish: Wish
    prompt: str
    prompt_tokens: int
    stream: bool = False
    include_usage: bool = False
    tools: tuple[Tool, ...] = ()
    calls: int = 0
    results: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    limit: int | None = None
    user: str | None = None
    metadata: Any = None

    @classmethod
    def parse(cls, body: Any) -> Self:
        """Read a request body. Raises `Refused`."""
        if not isinstance(body, dict):
            raise Refused(400, "The body is not a JSON object.")
        model = body.get("model")
        if not isinstance(model, str):
            raise Refused(400, "You must provide a model parameter.", param="model")
        wish = Wish.parse(model)
        if wish.fault and body.get("stream") is not True:
            raise Refused(400, "Faults need `stream: true`.", param="stream")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise Refused(400, "`messages` must be a list of at least one message.", param="messages")
        if body.get("n") not in (None, 1):
            raise Refused(400, "This server gives one choice per request: `n` must be 1.", param="n")
        tools, calls = _tools(body, wish, answered=_turns(messages) >= wish.turns)
        prompts = [m for m in messages if m.get("role") == "user"]
        return cls(
            model=model,
            wish=wish,
            prompt=_text(prompts[-1].get("content")) if prompts else "",
            prompt_tokens=sum(len(_text(m.get("content")).split()) + 3 for m in messages),
            stream=body.get("stream") is True,
            include_usage=wish.usage == 1 and _asks_usage(body.get("stream_options")),
            tools=tools,
            calls=calls,
            results=tuple(_text(m.get("content")) for m in messages if m.get("role") == "tool"),
            json_schema=_json_schema(body.get("response_format")),
            limit=_limit(body),
            user=body.get("user"),
            metadata=body.get("metadata"),
        )

    def without_fault(self) -> Self:
        """The same request without its fault."""
        return replace(self, wish=replace(self.wish, fault=None))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return " ".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))


def _turns(messages: list[dict[str, Any]]) -> int:
    """How often the model has called tools since the last user message."""
    last_prompt = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    return sum(bool(m.get("tool_calls")) for m in messages[last_prompt:])


def _asks_usage(options: Any) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _limit(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Refused(400, f"`{name}` must be a whole number of at least 1.", param=name)
        return value
    return None


def _tools(body: Mapping[str, Any], wish: Wish, *, answered: bool) -> tuple[tuple[Tool, ...], int]:
    offered = body.get("tools") or []
    if not isinstance(offered, list):
        raise Refused(400, "`tools` must be a list.", param="tools")
    tools = []
    for i, entry in enumerate(offered):
        function = entry.get("function") if isinstance(entry, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused(400, f"`tools[{i}]` is not a function with a name.", param=f"tools[{i}]")
        tools.append(Tool(function["name"], _part(function, "parameters")))
    choice = body.get("tool_choice")
    calls = wish.tools
    if choice == "none" or answered or not tools:
        calls = 0
    elif choice == "required":
        calls = max(calls, 1)
    elif isinstance(choice, dict):
        named = _part(choice, "function").get("name")
        tools = [tool for tool in tools if tool.name == named]
        if not tools:
            raise Refused(400, f"`tool_choice` names `{named}`, which is not in `tools`.", param="tool_choice")
        calls = max(calls, 1)
    return tuple(tools), calls


def _json_schema(response_format: Any) -> Mapping[str, Any] | None:
    """The schema to satisfy, empty for any JSON object; None for text."""
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        return {}
    schema = _part(response_format, "json_schema").get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict):
        raise Refused(400, "This server does not know this `response_format`.", param="response_format")
    return schema


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}
