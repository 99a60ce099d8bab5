"""The examples in README.md, run as written, on a free port."""

import asyncio
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.ports import claim_port, release_port
from tests.support.processes import OsProcess
from tests.support.raw_http import request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SCRATCH: Final = "/tmp/"  # noqa: S108 - what README's commands write to, replaced here
README: Final = Path(__file__).parents[2] / "README.md"


def _examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


async def _run(script: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return output.decode()


async def test_the_five_examples_stream_resume_cancel_run_a_tool_and_speak_openai(tmp_path: Path) -> None:
    """The second goes on exactly where the first was cut; the third stops the answer; the fourth runs a tool;
    the fifth is OpenAI's SDK."""
    port = claim_port()
    launcher = OsProcess(
        "launcher",
        [sys.executable, "-m", "outlive", "up", "--port", str(port), "--data", str(tmp_path / "data")],
        {},
    )
    await launcher.start()
    try:

        async def is_ready() -> bool:
            try:
                return (await request("GET", f"http://127.0.0.1:{port}/readyz")).status == 200
            except OSError:
                return False

        def here(example: str) -> str:
            return example.replace(":8000", f":{port}").replace(SCRATCH, f"{tmp_path}/")

        await until(is_ready, 30, "make up to be ready")
        stream, resume, cancel, tools = map(here, _examples("bash"))
        first = re.findall(r"^id: (\d+)-(\d+)$", await _run(stream, tmp_path), re.MULTILINE)
        # The third command uses the shell variables of the second, as in one terminal.
        rest = await _run(f"{resume}\necho ----\n{cancel}", tmp_path)
        resumed, _, cancelled = rest.partition("----")
        ids = re.findall(r"^id: (\d+)-(\d+)$", resumed, re.MULTILINE)

        assert first
        assert ids
        assert ids[0][0] == first[-1][0]
        assert f'"from":{int(first[-1][1]) + 1}' in resumed or int(ids[0][1]) == int(first[-1][1]) + 1
        assert '"status":"cancelled"' in cancelled
        with_tools = await _run(tools, tmp_path)
        assert re.findall(r"^event: (tool_\w+)$", with_tools, re.MULTILINE)[-2:] == ["tool_call_done", "tool_result"]
        assert '"finish_reason":"stop"' in with_tools
        (sdk,) = map(here, _examples("python"))
        text = await _run(f"{sys.executable} -c {shlex.quote(sdk)}", tmp_path)
        assert text.startswith("You asked: *Why is the sea blue?*")
        assert text.endswith("Ask me something else whenever you like ☕\n")
    finally:
        await launcher.stop(within_s=20)
        release_port(port)
