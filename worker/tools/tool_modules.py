"""Owns which tools a worker has, and which of them a request offers to its model.

A module names its tools in `TOOLS`, a dict of function to options: nothing becomes callable by a
model only because it is public. Read once, at start.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from outlive.shared.errors import SettingsError
from outlive.worker.tools.tool import Tool

Registry = Mapping[str, Tool]


def load_tools(module_name: str) -> dict[str, Tool]:
    """The tools of this module, by name; none without one. Raises `SettingsError`."""
    if not module_name:
        return {}
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # Whatever the module does when it is imported, the operator reads one sentence.
        raise SettingsError(f"OUTLIVE_TOOLS: {module_name} cannot be imported: {error!r}.") from error
    declared = getattr(module, "TOOLS", None)
    if not isinstance(declared, Mapping):
        raise SettingsError(f"OUTLIVE_TOOLS: {module_name} has no dict `TOOLS` of functions and their options.")
    tools: dict[str, Tool] = {}
    for function, options in declared.items():
        tool = Tool.of(function, options)
        if tool.name in tools:
            raise SettingsError(f"OUTLIVE_TOOLS: {module_name} has two tools named {tool.name}.")
        tools[tool.name] = tool
    return tools


def offer(request: dict[str, Any], registry: Registry) -> tuple[dict[str, Any], dict[str, Tool]]:
    """The request with its bare entries completed, and the tools of ours that it offers by name.

    A model may call a tool of ours only if its request names it, whatever else is registered.
    """
    entries = request.get("tools")
    if not isinstance(entries, list):
        return request, {}
    offered: dict[str, Tool] = {}
    completed = [_completed(entry, registry, offered) for entry in entries]
    return request | {"tools": completed}, offered


def _completed(entry: Any, registry: Registry, offered: dict[str, Tool]) -> Any:
    function = entry.get("function") if isinstance(entry, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    tool = registry.get(name) if isinstance(name, str) else None
    if tool is None or not isinstance(function, dict):
        return entry
    offered[tool.name] = tool
    # What the caller says of it stands: it may know better how its model is to be told.
    said = {key: value for key, value in function.items() if value is not None}
    return entry | {"type": "function", "function": tool.declaration | said}
