"""Owns the parsing of a request: the body of a chat completion.

Pure. Everything is checked here and in `model_options`, so that the other modules never get a bad request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from outlive.deploy.demo_model.model_options import Refused, Wish


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
        if (wish.fault or wish.quirk) and body.get("stream") is not True:
            raise Refused(400, "Faults and quirks need `stream: true`.", param="stream")
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
    offered = body.get("tools") or [{"function": function} for function in body.get("functions") or ()]
    if not isinstance(offered, list):
        raise Refused(400, "`tools` must be a list.", param="tools")
    tools = []
    for i, entry in enumerate(offered):
        function = (entry.get("function") or entry.get("custom")) if isinstance(entry, dict) else None
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
