"""Owns the fields of a response that do not come from the model's output: request, usage, error.

Pure. The request's fields are read from the request as the provider got it, so every generation can be shown
as a response, whichever wire created it.
"""

from typing import Any, Final

from outlive.api.formats.format import Head
from outlive.api.wires.responses.responses_request import NOTES
from outlive.shared.model.codec import decode_json
from outlive.shared.model.generation import ECHO

_CODES: Final = {"upstream_rate_limited": "rate_limit_exceeded", "upstream_refused": "invalid_prompt"}
"""Our code -> the nearest one in the SDKs' list; all others are `server_error`."""


def asked(head: Head) -> dict[str, Any]:
    """The response while only the request is known."""
    request: dict[str, Any] = decode_json(head.request)
    echo = request.get(ECHO) or {}
    return {
        "object": "response",
        "background": True,
        "error": None,
        "incomplete_details": None,
        "max_output_tokens": request.get("max_completion_tokens") or request.get("max_tokens"),
        "metadata": decode_json(head.metadata),
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "reasoning": {"effort": request.get("reasoning_effort"), "summary": None},
        "temperature": request.get("temperature"),
        "text": {"format": _format(request.get("response_format"))},
        "tool_choice": _choice(request.get("tool_choice")),
        "tools": [_tool(tool) for tool in request.get("tools") or ()],
        "top_p": request.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": request.get("user"),
    } | {name: echo.get(name) for name in NOTES}


def usage_of(usage: dict[str, Any]) -> dict[str, Any]:
    """A generation's usage in the Responses shape."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    fields = {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached or 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning or 0},
        "total_tokens": usage["total_tokens"],
    }
    return fields | {"estimated": True} if usage.get("estimated") else fields


def error_of(failed: dict[str, Any]) -> dict[str, Any]:
    """The error of a generation's `failed` event. Our code is part of the message, because there is no other field
    for it."""
    return {
        "code": _CODES.get(failed["code"], "server_error"),
        "message": f"{failed['message']} ({failed['code']})",
    }


def _tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    return {"type": "function", "parameters": None, "strict": None, "description": None} | function


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict) and isinstance(function := choice.get("function"), dict):
        return {"type": "function", "name": function.get("name")}
    if isinstance(choice, dict) and isinstance(allowed := choice.get("allowed_tools"), dict):
        tools = [_choice(tool) for tool in allowed.get("tools") or ()]
        return {"type": "allowed_tools", "mode": allowed.get("mode"), "tools": tools}
    return choice or "auto"


def _format(response_format: Any) -> Any:
    if not isinstance(response_format, dict):
        return {"type": "text"}
    json_schema = response_format.get("json_schema")
    return {"type": "json_schema"} | json_schema if isinstance(json_schema, dict) else response_format
