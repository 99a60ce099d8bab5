"""Owns which tools a worker has, and which of them a request offers to its model.

A module marks its tools with `@outlive.tool`: a function that is merely public can be called by no
model. Read once, at start.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from outlive.shared.errors import SettingsError
from outlive.worker.tools.decorator import options_of
from outlive.worker.tools.tool import Tool

Registry = Mapping[str, Tool]


def load_tools(module_name: str) -> dict[str, Tool]:
    """The tools of this module by name, those it imports from other modules included; an empty name has
    none. Raises `SettingsError`."""
    if not module_name:
        return {}
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # Whatever the module raises when it is imported, the operator reads one sentence.
        raise SettingsError(f"OUTLIVE_TOOLS: {module_name} cannot be imported: {error!r}.") from error
    tools: dict[str, Tool] = {}
    for function in vars(module).values():
        options = options_of(function)
        if options is None:
            continue
        tool = Tool.of(function, options)
        if tools.setdefault(tool.name, tool).function is not function:
            raise SettingsError(f"OUTLIVE_TOOLS: {module_name} has two tools named {tool.name}; rename one of them.")
    if not tools:
        raise SettingsError(f"OUTLIVE_TOOLS: {module_name} has no tools; mark its functions with @outlive.tool.")
    return tools


def offer(request: dict[str, Any], registry: Registry) -> tuple[dict[str, Any], dict[str, Tool]]:
    """The request with its bare entries completed, and by name those of our tools that it offers.

    A model may call one of our tools only if its request names that tool, whatever else is registered.
    """
    entries = request.get("tools")
    if not isinstance(entries, list):
        return request, {}
    offered: dict[str, Tool] = {}
    completed = [_completed(entry, registry, offered) for entry in entries]
    return request | {"tools": completed}, offered


def tool_names(request: dict[str, Any]) -> set[str]:
    """Names of all tools in the request: ours, the caller's, and custom ones."""
    entries = request.get("tools")
    kinds = [
        entry.get(kind)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        for kind in ("function", "custom")
    ]
    names = [kind.get("name") for kind in kinds if isinstance(kind, dict)]
    return {name for name in names if isinstance(name, str)}


def _completed(entry: Any, registry: Registry, offered: dict[str, Tool]) -> Any:
    function = entry.get("function") if isinstance(entry, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    tool = registry.get(name) if isinstance(name, str) else None
    if tool is None or not isinstance(function, dict):
        return entry
    offered[tool.name] = tool
    # The caller's own words win: a caller may know better how to describe the tool to its model.
    given = {key: value for key, value in function.items() if value is not None}
    return entry | {"type": "function", "function": tool.declaration | given}
