"""Owns the mark that makes a function a tool: the decorator `outlive.tool`.

A mark says what its author wants, unchecked; `tool.py` reads the function. Standard library only,
because applications import this through `outlive`.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

_MARK: Final = "__outlive_tool__"

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(*, timeout_s: float | None = None, repeatable: bool = False) -> Callable[[Function], Function]: ...
def tool(
    function: Function | None = None, /, *, timeout_s: float | None = None, repeatable: bool = False
) -> Function | Callable[[Function], Function]:
    """Mark a function, async or not, as a tool that workers may run for a model: `@tool` or `@tool(...)`.

    Type hints become the schema the model is given, the docstring its description. `timeout_s` is how long
    one call may take, instead of OUTLIVE_TOOL_TIMEOUT_S. `repeatable` says that a new attempt may run it
    again although there is a result. Returns the function itself. Raises `TypeError` for anything else
    than a plain function.
    """

    def mark(marked: Function) -> Function:
        if not inspect.isfunction(marked):
            raise TypeError(f"@outlive.tool marks plain functions only, and {marked!r} is not one")
        setattr(marked, _MARK, {"timeout_s": timeout_s, "repeatable": repeatable})
        return marked

    return mark if function is None else mark(function)


def options_of(value: object) -> dict[str, Any] | None:
    """The options of a function that was marked; None for everything else."""
    # Asking anything but a function for an attribute may run somebody's `__getattr__`.
    return getattr(value, _MARK, None) if inspect.isfunction(value) else None
