"""Owns running JavaScript: in Playwright's Node, so that every machine runs the same version.

A script reads one JSON value from standard input and prints one to standard output.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from playwright._impl._driver import compute_driver_executable

from tests.support.processes import ROOT

CLIENTS: Final = ROOT / "tests" / "clients"
MODULES: Final = CLIENTS / "node_modules"


def node() -> Path:
    """The executable."""
    return Path(compute_driver_executable()[0])


async def run(script: str, given: Any = None, *, within_s: float = 60.0) -> Any:
    """Run `tests/clients/<script>` and return what it printed. If the script fails, fail with its output."""
    return json.loads(await output([str(node()), str(CLIENTS / script)], json.dumps(given), within_s=within_s))


async def output(command: list[str], given: str = "", *, cwd: Path = ROOT, within_s: float = 60.0) -> str:
    """Run a command to its end and return its output. Half an emoji passes both ways as an escape."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate(given.encode())
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {command}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command} failed:\n{out.decode()[-4000:]}\n{err.decode()[-4000:]}"
    return out.decode()
