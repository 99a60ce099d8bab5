"""Owns what a Responses request means as one of Chat Completions, which is what providers are asked.

Pure. What cannot be said there is refused, by name; fields unknown here go to the provider as they
are. What the response repeats and a provider must not see is kept apart (`ECHO`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from outlive.api.schemas import OUR_FIELDS, STREAM_FIELDS
from outlive.api.wires.responses.input_items import Messages, messages_of
from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import ECHO

Body = dict[str, Any]

NOTES: Final = ("instructions", "previous_response_id", "store")

_UNSTORED_S: Final = 60.0
"""How long an answer nobody wants stored is kept after its end: who was cut off may still come back."""

_RENAMED: Final = {"max_output_tokens": "max_completion_tokens"}

_REFUSED: Final = ("conversation", "prompt", "max_tool_calls", "moderation")
"""They need what only OpenAI has."""

_DROPPED: Final = frozenset(
    {*NOTES, *STREAM_FIELDS, "input", "background", "include", "truncation", "context_management"}
)
"""Said in another place, or of no effect on a chat completion."""


def chat_of(body: Body, former: Sequence[dict[str, Any]]) -> Body:
    """The request for a generation; `former` are the messages of the response this one follows.
    Raises `BadRequest`."""
    for name in _REFUSED:
        if body.get(name) is not None:
            raise BadRequest(f"`{name}` is not supported here.", param=name)
    if body.get("truncation") not in (None, "disabled"):
        raise BadRequest(
            "What is too long for the model is refused here: `truncation` can only be `disabled`.", param="truncation"
        )
    if body.get("store") is False and body.get("background") is True:
        raise BadRequest("A response in the background is stored: `store` cannot be false.", param="store")
    chat = {
        _RENAMED.get(name, name): value for name, value in body.items() if name not in _DROPPED | _TRANSLATED.keys()
    }
    chat["messages"] = [*_instructions(body), *former, *messages_of(body.get("input"))]
    for name, translate in _TRANSLATED.items():
        if body.get(name) is not None:
            chat |= translate(body[name])
    if body.get("store") is False:
        chat.setdefault("retention_s", _UNSTORED_S)
    return chat


def echo_of(body: Body) -> Body:
    """What the response says again and the provider must not see."""
    return {name: body.get(name) for name in NOTES}


def without_instructions(request: Body) -> Messages:
    """The messages of a request made here, as the next response takes them over: its instructions do not count."""
    messages: Messages = list(request["messages"])
    return messages[1:] if (request.get(ECHO) or {}).get("instructions") is not None else messages


def _instructions(body: Body) -> Messages:
    said = body.get("instructions")
    if said is None:
        return []
    if not isinstance(said, str):
        raise BadRequest("`instructions` must be a string.", param="instructions")
    return [{"role": "system", "content": said}]


def _tools(tools: Any) -> Body:
    if not isinstance(tools, list):
        raise BadRequest("`tools` must be a list.", param="tools")
    return {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]} if tools else {}


def _tool(tool: Any, place: str) -> Body:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise BadRequest("Only tools of type `function` can be offered here.", param=place)
    named = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in named if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Body:
    if isinstance(choice, str):
        return {"tool_choice": choice}
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        return {"tool_choice": _chosen(choice)}
    if kind == "allowed_tools":
        allowed = [_chosen(tool) for tool in choice.get("tools") or ()]
        return {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": allowed},
            }
        }
    raise BadRequest("This choice of tools is not supported here.", param="tool_choice")


def _chosen(tool: Any) -> Body:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise BadRequest("Only tools of type `function` can be chosen here.", param="tool_choice")
    return {"type": "function", "function": {"name": tool.get("name")}}


def _text(text: Any) -> Body:
    if not isinstance(text, dict):
        raise BadRequest("`text` must be an object.", param="text")
    chat: Body = {"verbosity": text["verbosity"]} if text.get("verbosity") is not None else {}
    wanted = text.get("format")
    if not isinstance(wanted, dict) or wanted.get("type") == "text":
        return chat
    if wanted.get("type") == "json_schema":
        described = {name: value for name, value in wanted.items() if name != "type" and value is not None}
        return chat | {"response_format": {"type": "json_schema", "json_schema": described}}
    return chat | {"response_format": wanted}


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

assert not _DROPPED & OUR_FIELDS, "how long and how persistently to try is said as everywhere"
