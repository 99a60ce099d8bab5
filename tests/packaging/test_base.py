"""The base without extras: what an application imports beside its own libraries."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECK = """
import json, sys
import outlive
from outlive import tool

@tool(repeatable=True, timeout_s=2.0)
def add(a: int, b: int) -> int:
    return a + b

loaded = {"importlib.metadata"} & set(sys.modules) | {name.partition(".")[0] for name in sys.modules}
missing = [name for name in outlive.__all__ if not hasattr(outlive, name)]
raised = str(outlive.SettingsError("no"))
import redis
print(json.dumps({
    "sum": add(1, 2), "loaded": sorted(loaded), "missing": missing, "raised": raised,
    "version": outlive.__version__, "redis": redis.__version__,
}))
"""
HEAVY = {
    "importlib.metadata",
    "fastapi",
    "starlette",
    "openai",
    "arq",
    "redis",
    "pydantic",
    "httpx",
    "aiohttp",
    "uvicorn",
    "click",
}
SERVER_COMMANDS = (["up"], ["api"], ["worker"], ["doctor"], ["keys", "list"], ["demo-model"])


@pytest.mark.parametrize("major", [5, 7, 8])
def test_the_base_works_with_every_redis_py_that_applications_bring(
    install: Callable[..., Path], tmp_path: Path, major: int
) -> None:
    """Agents come with redis-py 7 or 8; the server needs 5. What applications import loads none of them."""
    bin_folder = install("", f"redis=={major}.*")
    ran = subprocess.run([bin_folder / "python", "-c", CHECK], cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["redis"].startswith(f"{major}.")
    assert (report["sum"], report["missing"], report["raised"], report["version"]) == (3, [], "no", "0.1.0")
    assert not HEAVY & set(report["loaded"])


def test_without_the_server_parts_a_command_says_how_to_install_them(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    """In one sentence, with exit code 2; and help and version need no server parts."""
    outlive = install() / "outlive"
    for command in SERVER_COMMANDS:
        ran = subprocess.run([outlive, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        sentence = f"outlive {' '.join(command)} needs the server parts: pip install 'outlive[server]'\n"
        assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", sentence)
        helped = subprocess.run([outlive, *command, "--help"], cwd=tmp_path, capture_output=True, check=False)
        assert (helped.returncode, helped.stderr) == (0, b""), command
    ran = subprocess.run([outlive, "version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "outlive 0.1.0\n")
