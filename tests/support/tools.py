"""Owns the tools that workers run in tests (`OUTLIVE_TOOLS=tests.support.tools`), and requests that call them.

The demo model makes arguments from the schema of a tool. `calling` writes constants into that schema, so that the
test chooses the arguments. Tools write what they did into files.
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any, Final

from outlive import tool

_POLL_S: Final = 0.02
"""A tool runs inside a worker and waits for a file that the test makes: only polling sees it."""

_LONGEST_S: Final = 60.0
"""A thread cannot be stopped, so it must end soon after the tests."""


def calling(name: str, /, **arguments: object) -> dict[str, Any]:
    """An entry of `tools` that makes the demo model call this tool with these arguments."""
    properties = {key: {"const": value} for key, value in arguments.items()}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def tool_named(name: str) -> dict[str, Any]:
    """An entry of `tools` that only names the tool."""
    return {"type": "function", "function": {"name": name}}


def notes_in(file: Path) -> list[str]:
    """The notes that tools have written into this file."""
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
    """Write a note: a side effect that may happen only once."""
    _write_note(file, "note")
    return "noted"


@tool(repeatable=True)
def note_again(file: str) -> str:
    """Write a note that may be written again."""
    _write_note(file, "again")
    return "noted"


@tool
async def wait(file: str, gate: str) -> str:
    """Wait until the file `gate` exists."""
    _write_note(file, "began")
    try:
        while not _exists(gate):
            await asyncio.sleep(_POLL_S)
    except asyncio.CancelledError:
        _write_note(file, "cancelled")
        raise
    return "waited"


@tool
def block(file: str, gate: str) -> str:
    """Do the same in a thread."""
    _write_note(file, "began")
    latest = time.monotonic() + _LONGEST_S
    while not _exists(gate) and time.monotonic() < latest:
        time.sleep(_POLL_S)
    _write_note(file, "ended")
    return "blocked"


@tool
async def meet(here: str, there: str) -> str:
    """Make the file `here`, and wait until the file `there` exists."""
    _write_note(here, "here")
    while not _exists(there):
        await asyncio.sleep(_POLL_S)
    return "met"


@tool
def meet_in_thread(here: str, there: str) -> str:
    """Do the same in a thread."""
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
    """Never return. Its timeout is short."""
    await asyncio.sleep(_LONGEST_S)


@tool(timeout_s=0.2)
async def hang_on() -> None:
    """Never return, and ignore the first cancellation. The second one ends it, or the worker could not stop."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(_LONGEST_S)
    await asyncio.sleep(_LONGEST_S)


@tool
def long(size: int) -> str:
    """Return this many bytes."""
    return "x" * size


@tool
def not_json() -> object:
    """Return an object that JSON cannot represent."""
    return object()


def _exists(file: str) -> bool:
    return Path(file).exists()


def _write_note(file: str, word: str) -> None:
    with Path(file).open("a") as notes_file:
        notes_file.write(f"{word}\n")
