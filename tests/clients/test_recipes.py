"""docs/openai.md as written: every block is run, on a free address."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support import javascript
from tests.support.processes import ROOT
from tests.support.stack import Stack

pytestmark = pytest.mark.anyio

SCRATCH: Final = "/tmp/"  # noqa: S108 - what the commands write to, replaced here
PAGE: Final = ROOT / "docs" / "openai.md"
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)

COMMANDS: Final = {
    "python": [sys.executable, "-c"],
    "js": [str(javascript.node()), "--input-type=module", "-e"],
    "bash": ["bash", "-eu", "-c"],
}
PRINTED: Final = [
    r"watch it at /v1/generations/gen_\w+/events\nYou asked",
    r"\ncompleted\n$",
    r"^name='.*' people=\d+\nYou asked: \*And why that one\?\*",
    r"^cancelled\n$",
    r"(?s)^You asked.*whenever you like.*whenever you like.*\ncompleted\n$",
    r'(?s)"content":"You".*data: \[DONE\]\n\n$',
    r'(?s)^: outlive\nid: 9\n.*event: response.completed\n.*"status":"completed","output":\[\{.*\}$',
]
"""What each prints, in the order of the page."""


async def test_every_recipe_does_what_it_says(stack: Stack, tmp_path: Path) -> None:
    """In Python, Node and curl, all at the same time: each is a long answer at reading speed."""

    async def run(language: str, code: str) -> str:
        code = code.replace("http://127.0.0.1:8000", stack.urls[0]).replace(SCRATCH, f"{tmp_path}/")
        return await javascript.output([*COMMANDS[language], code], cwd=javascript.CLIENTS)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run(language, code)) for language, code in BLOCKS]
    for expected, task in zip(PRINTED, running, strict=True):
        assert re.search(expected, task.result()), (expected, task.result()[-2000:])
