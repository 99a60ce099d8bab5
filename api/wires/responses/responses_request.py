"""Owns the translation of a Responses request into a Chat Completions request, which providers get.

Pure. A field that Chat Completions cannot express is refused by name; an unknown field goes to the provider
unchanged. Fields that the response repeats but the provider must not see are kept apart (`ECHO`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from outlive.api.generation_request import OUR_FIELDS, STREAM_FIELDS, check_length
from outlive.api.wires.responses.input_items import Messages, messages_of
from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import ECHO

Body = dict[str, Any]

NOTES: Final = ("instructions", "previous_response_id", "store")

_UNSTORED_S: Final = 60.0
"""How long an answer with `store: false` is kept after its end, so that a client that was cut off can resume."""

_RENAMED: Final = {"max_output_tokens": "max_completion_tokens"}

_REFUSED: Final = ("conversation", "prompt", "max_tool_calls", "moderation")
"""Only OpenAI's own server has what these need."""

_DROPPED: Final = frozenset(
    {*NOTES, *STREAM_FIELDS, "input", "background", "include", "truncation", "context_management"}
)
"""Translated elsewhere, or without effect on a chat completion."""


_ONLY_WITH_TOOLS: Final = frozenset({"tool_choice", "parallel_tool_calls"})
_HINTS: Final = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier"})
"""They change nothing in an answer, and strict servers refuse them."""


def chat_of(body: Body, earlier: Sequence[dict[str, Any]], *, for_openai: bool = False) -> Body:
    """The Chat Completions request; `earlier` are the messages of the response that this one follows. `for_openai`:
    the provider is OpenAI, which knows the hints that its own clients send. Raises `BadRequest`."""
    for name in _REFUSED:
        if body.get(name) is not None:
            raise BadRequest(f"This server does not support `{name}`. Remove it from the request.", param=name)
    if body.get("truncation") not in (None, "disabled"):
        raise BadRequest(
            "`truncation` must be `disabled`: this server does not shorten conversations.", param="truncation"
        )
    if body.get("store") is False and body.get("background") is True:
        raise BadRequest(
            "`store` must not be false with `background`: such a response is always stored.", param="store"
        )
    chat = {
        _RENAMED.get(name, name): value for name, value in body.items() if name not in _DROPPED | _TRANSLATED.keys()
    }
    chat["messages"] = [*_instructions(body), *earlier, *messages_of(body.get("input"))]
    for name, translate in _TRANSLATED.items():
        if body.get(name) is not None:
            chat |= translate(body[name])
    if not chat.get("tools"):
        # Providers refuse these without tools; on Responses they are defaults that clients always send.
        chat = {name: value for name, value in chat.items() if name not in _ONLY_WITH_TOOLS}
    if not for_openai:
        chat = {name: value for name, value in chat.items() if name not in _HINTS}
    if body.get("store") is False:
        chat.setdefault("retention_s", _UNSTORED_S)
    return chat


def echo_of(body: Body) -> Body:
    """The fields that the response repeats and the provider must not see."""
    return {name: body.get(name) for name in NOTES}


def without_instructions(request: Body) -> Messages:
    """The messages of a stored request as the next response takes them over: without its instructions."""
    messages: Messages = list(request["messages"])
    return messages[1:] if (request.get(ECHO) or {}).get("instructions") is not None else messages


def _instructions(body: Body) -> Messages:
    instructions = body.get("instructions")
    if instructions is None:
        return []
    if not isinstance(instructions, str):
        raise BadRequest("`instructions` must be a string.", param="instructions")
    return [{"role": "system", "content": instructions}]


def _tools(tools: Any) -> Body:
    if not isinstance(tools, list):
        raise BadRequest("`tools` must be a list.", param="tools")
    check_length("tools", tools)
    return {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]} if tools else {}


def _tool(tool: Any, path: str) -> Body:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise BadRequest(f"`{path}` must be a tool of type `function`; this server supports no other.", param=path)
    fields = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in fields if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Body:
    if isinstance(choice, str):
        return {"tool_choice": choice}
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        return {"tool_choice": _chosen_function(choice)}
    if kind == "allowed_tools":
        allowed = [_chosen_function(tool) for tool in choice.get("tools") or ()]
        return {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": allowed},
            }
        }
    raise BadRequest(
        "`tool_choice` must be a string, or an object of type `function` or `allowed_tools`.", param="tool_choice"
    )


def _chosen_function(tool: Any) -> Body:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise BadRequest("`tool_choice` must name tools of type `function`.", param="tool_choice")
    return {"type": "function", "function": {"name": tool.get("name")}}


def _text(text: Any) -> Body:
    if not isinstance(text, dict):
        raise BadRequest("`text` must be an object.", param="text")
    chat: Body = {"verbosity": text["verbosity"]} if text.get("verbosity") is not None else {}
    shape = text.get("format")
    if not isinstance(shape, dict) or shape.get("type") == "text":
        return chat
    if shape.get("type") == "json_schema":
        json_schema = {name: value for name, value in shape.items() if name != "type" and value is not None}
        return chat | {"response_format": {"type": "json_schema", "json_schema": json_schema}}
    return chat | {"response_format": shape}


def _reasoning(reasoning: Any) -> Body:
    if not isinstance(reasoning, dict):
        raise BadRequest("`reasoning` must be an object.", param="reasoning")
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


_TRANSLATED: Final[dict[str, Callable[[Any], Body]]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "text": _text,
    "reasoning": _reasoning,
}

assert not _DROPPED & OUR_FIELDS, "Outlive's fields have the same names on every wire"
