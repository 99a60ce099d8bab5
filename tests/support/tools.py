"""Owns the tools that workers run in tests (`OUTLIVE_TOOLS=tests.support.tools`), and how they are asked for.

What a tool is called with is the test's choice: the demo model makes arguments from the schema it
is given, so `asking` puts the very values there. What a tool did is left in files.
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any, Final

from outlive import tool

_LOOK_EVERY_S: Final = 0.02
_LONGEST_S: Final = 60.0
"""A thread cannot be stopped, and must not outlive the tests by long."""


def calling(name: str, /, **arguments: object) -> dict[str, Any]:
    """An entry of `tools` that makes the demo model call this tool with these arguments."""
    properties = {key: {"const": value} for key, value in arguments.items()}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def tool_named(name: str) -> dict[str, Any]:
    """An entry that only names the tool."""
    return {"type": "function", "function": {"name": name}}


def notes_in(file: Path) -> list[str]:
    """What tools have left there."""
    return file.read_text().split() if file.exists() else []


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@tool
def note(file: str) -> str:
    """Leave a note: the side effect that may happen only once."""
    _leave(file, "note")
    return "noted"


@tool(repeatable=True)
def note_again(file: str) -> str:
    """A note that may be left again."""
    _leave(file, "again")
    return "noted"


@tool
async def wait(file: str, gate: str) -> str:
    """Wait until the gate is there."""
    _leave(file, "began")
    try:
        while not _is_there(gate):
            await asyncio.sleep(_LOOK_EVERY_S)
    except asyncio.CancelledError:
        _leave(file, "cancelled")
        raise
    return "waited"


@tool
def block(file: str, gate: str) -> str:
    """The same, in a thread."""
    _leave(file, "began")
    latest = time.monotonic() + _LONGEST_S
    while not _is_there(gate) and time.monotonic() < latest:
        time.sleep(_LOOK_EVERY_S)
    _leave(file, "ended")
    return "blocked"


@tool
async def meet(here: str, there: str) -> str:
    """Come, and wait until the other has come."""
    _leave(here, "here")
    while not _is_there(there):
        await asyncio.sleep(_LOOK_EVERY_S)
    return "met"


@tool
def meet_in_thread(here: str, there: str) -> str:
    """The same, in a thread."""
    return block(here, there) and "met"


@tool
def fail() -> str:
    """Raise."""
    raise LookupError("there is no such city")


@tool
def leave() -> None:
    """Try to end the worker."""
    sys.exit(3)


@tool
async def give_up() -> None:
    """Cancel itself."""
    raise asyncio.CancelledError


@tool(timeout_s=0.2)
async def hang() -> None:
    """Never answer. Its time is short."""
    await asyncio.sleep(_LONGEST_S)


@tool(timeout_s=0.2)
async def hang_on() -> None:
    """Never answer, and do not listen when told to stop. The second time it does, or the worker could not end."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(_LONGEST_S)
    await asyncio.sleep(_LONGEST_S)


@tool
def long(size: int) -> str:
    """So many bytes."""
    return "x" * size


@tool
def unspeakable() -> object:
    """Return what JSON cannot say."""
    return object()


def _is_there(file: str) -> bool:
    return Path(file).exists()


def _leave(file: str, word: str) -> None:
    with Path(file).open("a") as notes_file:
        notes_file.write(f"{word}\n")
