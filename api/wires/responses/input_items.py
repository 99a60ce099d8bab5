"""Owns the translation of a Responses request's input into chat messages.

Pure. The items of one model turn become one message: its text, then its calls, and what its provider wants back of it
(`sealed_state.py`). Other reasoning is left out, because chat providers refuse it in requests.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from outlive.api.generation_request import check_length
from outlive.api.wires.responses.sealed_state import unseal
from outlive.shared.errors import BadRequest

Message = dict[str, Any]
Messages = list[Message]

_OWN_MEMBERS: Final = frozenset({"role", "content", "tool_calls", "id", "type", "function"})
"""Members of a message and of a call that a client's state does not replace."""
_TEXTS: Final = ("input_text", "output_text", "text")


def messages_of(given: Any) -> Messages:
    """The messages of a string or a list of items. Raises `BadRequest`."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("`input` must be a string, or a list of items that is not empty.", param="input")
    check_length("input", given)
    messages: Messages = []
    for i, item in enumerate(given):
        _add(messages, item, f"input[{i}]")
    whole = [message for message in messages if not _is_thought(message)]
    for message in whole:
        message.pop(_THOUGHT, None)
    return whole


def _is_thought(message: Message) -> bool:
    """Whether it holds nothing but reasoning so far."""
    return _THOUGHT in message and not message["content"] and not message.get("tool_calls")


def _add(messages: Messages, item: Any, path: str) -> None:
    if not isinstance(item, dict):
        raise BadRequest(f"`{path}` must be an object.", param=path)
    match item.get("type", "message"):
        case "message":
            message = _message(item, path)
            if message["role"] == "assistant" and messages and _is_thought(messages[-1]):
                messages[-1]["content"] = message["content"]
            else:
                messages.append(message)
        case "function_call":
            _add_call(messages, item)
        case "function_call_output":
            content = _content(item.get("output"), f"{path}.output")
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        case "reasoning":
            _add_reasoning(messages, item)
        case kind:
            raise BadRequest(
                f"`{path}` has the type `{kind}`, which this server does not support. Supported types: message, "
                "function_call, function_call_output, reasoning.",
                param=path,
            )


_THOUGHT: Final = "_thought"
"""Reasoning whose name is not known yet: it stands in the message that comes next until its turn's state does."""


def _add_reasoning(messages: Messages, item: dict[str, Any]) -> None:
    state = unseal(item.get("encrypted_content"))
    parts = [*(item.get("content") or ()), *(item.get("summary") or ())]
    text = "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
    if text:
        messages.append({"role": "assistant", "content": "", _THOUGHT: text})
    if state is None or not messages or messages[-1]["role"] != "assistant":
        return
    turn = messages[-1]
    if isinstance(name := state.get("reasoning_as"), str) and turn.get(_THOUGHT):
        turn[name] = turn[_THOUGHT]
    if isinstance(members := state.get("message"), dict):
        turn |= {name: value for name, value in members.items() if name not in _OWN_MEMBERS}
    calls = state.get("calls")
    if not isinstance(calls, dict):
        return
    for call in turn.get("tool_calls", ()):
        if isinstance(members := calls.get(call["id"]), dict):
            call |= {name: value for name, value in members.items() if name not in _OWN_MEMBERS}


def _add_call(messages: Messages, item: dict[str, Any]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        # Not null, which strict servers refuse beside calls.
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})


def _message(item: dict[str, Any], path: str) -> Message:
    role = item.get("role")
    if not isinstance(role, str) or not role:
        raise BadRequest(f"`{path}.role` is missing; a message needs a role.", param=f"{path}.role")
    return {"role": role, "content": _content(item.get("content"), f"{path}.content")}


def _content(content: Any, path: str) -> str | list[Any]:
    """A string if there is only text, because many chat servers accept nothing else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest(f"`{path}` must be a string or a list of parts.", param=path)
    parts = [_part(part, f"{path}[{i}]") for i, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, path: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    translate = _PARTS.get(str(kind))
    if translate is None:
        raise BadRequest(
            f"`{path}` has the type `{kind}`, which this server does not support. Supported types: "
            f"{', '.join(_PARTS)}.",
            param=path,
        )
    return translate(part)


def _image(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "image_url",
        "image_url": _without_nulls({"url": part.get("image_url"), "detail": part.get("detail")}.items()),
    }


def _file(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "file",
        "file": _without_nulls((name, part.get(name)) for name in ("file_id", "filename", "file_data")),
    }


def _without_nulls(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value is not None}


_PARTS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    **dict.fromkeys(_TEXTS, lambda part: {"type": "text", "text": str(part.get("text", ""))}),
    # A refusal is text of the model.
    "refusal": lambda part: {"type": "text", "text": str(part.get("refusal", ""))},
    "input_image": _image,
    "input_file": _file,
    "input_audio": lambda part: {"type": "input_audio", "input_audio": part.get("input_audio")},
}
