"""The commands in README.md, run as they stand there, on a port that is free here."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.support.ports import claim_port, release_port
from tests.support.processes import OsProcess
from tests.support.raw_http import request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SCRATCH = "/tmp/"  # noqa: S108 - what README's commands write to, replaced here
README = Path(__file__).parents[2] / "README.md"


def _commands() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


async def _run(script: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return output.decode()


async def test_the_four_commands_stream_resume_cancel_and_run_a_tool(tmp_path: Path) -> None:
    """The second goes on exactly where the first was cut; the third stops the answer; the fourth runs a tool."""
    port = claim_port()
    launcher = OsProcess(
        "launcher",
        [sys.executable, "-m", "outlive.deploy.local", "--port", str(port), "--data", str(tmp_path / "data")],
        {},
    )
    await launcher.start()
    try:

        async def is_ready() -> bool:
            try:
                return (await request("GET", f"http://127.0.0.1:{port}/readyz")).status == 200
            except OSError:
                return False

        await until(is_ready, 30, "make up to be ready")
        stream, resume, cancel, tools = (
            command.replace(":8000", f":{port}").replace(SCRATCH, f"{tmp_path}/") for command in _commands()
        )
        first = re.findall(r"^id: (\d+)-(\d+)$", await _run(stream, tmp_path), re.MULTILINE)
        # The shell's variables of the second command are the third's too, as in one terminal.
        rest = await _run(f"{resume}\necho ----\n{cancel}", tmp_path)
        resumed, _, cancelled = rest.partition("----")
        ids = re.findall(r"^id: (\d+)-(\d+)$", resumed, re.MULTILINE)

        assert first
        assert ids
        assert ids[0][0] == first[-1][0]
        assert f'"from":{int(first[-1][1]) + 1}' in resumed or int(ids[0][1]) == int(first[-1][1]) + 1
        assert '"status":"cancelled"' in cancelled
        answered = await _run(tools, tmp_path)
        assert re.findall(r"^event: (tool_\w+)$", answered, re.MULTILINE)[-2:] == ["tool_call_done", "tool_result"]
        assert '"finish_reason":"stop"' in answered
    finally:
        await launcher.stop(within_s=20)
        release_port(port)
