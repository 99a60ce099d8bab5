"""Owns the translation of a Responses request's input into chat messages.

Pure. The items of one model turn become one message: its text, then its calls. Reasoning is left out, because
chat providers refuse it in requests.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from outlive.api.schemas import check_length
from outlive.shared.errors import BadRequest

Message = dict[str, Any]
Messages = list[Message]

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
    return messages


def _add(messages: Messages, item: Any, path: str) -> None:
    if not isinstance(item, dict):
        raise BadRequest(f"`{path}` must be an object.", param=path)
    match item.get("type", "message"):
        case "message":
            messages.append(_message(item, path))
        case "function_call":
            _add_call(messages, item)
        case "function_call_output":
            content = _content(item.get("output"), f"{path}.output")
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        case "reasoning":
            pass
        case kind:
            raise BadRequest(
                f"`{path}` has the type `{kind}`, which this server does not support. Supported types: message, "
                "function_call, function_call_output, reasoning.",
                param=path,
            )


def _add_call(messages: Messages, item: dict[str, Any]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


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
