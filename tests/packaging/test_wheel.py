"""The wheel as a user gets it: what is in it, and that it runs in a folder full of obstacles."""

import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ports import claim_port, release_port
from tests.support.processes import ROOT, OsProcess, stop_all
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import chat, demo
from tests.support.tools import tool_named
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PARTS = ("api", "deploy", "shared", "worker")
"""Folders at the top of the repository that are packages of `outlive`."""
TOOL = '''"""The tools of an application, which import a library that nothing of ours imports."""
import colorsys

from outlive import tool

@tool
def greeting() -> str:
    """Greet."""
    return f"hello {colorsys.__name__}"
'''


class Installed(OsProcess):
    """A command of the installed wheel, run in a folder of its own; ready when its URL answers or it said so."""

    def __init__(self, command: Path, *arguments: str, folder: Path, environ: dict[str, str], ready: str) -> None:
        super().__init__(arguments[0], [str(command), *arguments], environ, folder=folder)
        self._ready = ready

    async def is_ready(self) -> bool:
        if not self._ready.startswith("http"):
            return self.has_printed(self._ready)
        try:
            return (await request("GET", self._ready, within_s=2.0)).status == 200
        except (OSError, TimeoutError):
            return False


@pytest.fixture(scope="module")
def bin_folder(install: Callable[..., Path]) -> Path:
    """With the server parts."""
    return install("[server]")


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """A folder with modules named as parts of Outlive and of Python, each of which raises when it is imported."""
    for name in (*PARTS, "outlive", "json", "socket", "pickle", "colorsys", "click", "redis", "uvicorn"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name} of the current folder was imported')\n")
    (tmp_path / "my_tools.py").write_text(TOOL)
    return tmp_path


def source_files() -> Iterator[str]:
    """Every file of the package in the repository, by the name it must have in the wheel."""
    for folder, prefix in ((ROOT / "src/outlive", "outlive"), *((ROOT / part, f"outlive/{part}") for part in PARTS)):
        for file in folder.rglob("*"):
            parts = file.relative_to(folder).parts
            if file.is_file() and not {"__pycache__", *(PARTS if prefix == "outlive" else ())} & set(parts):
                yield "/".join((prefix, *parts))


def test_the_wheel_holds_one_package_with_all_its_files(wheel: Path) -> None:
    """Nothing lands beside `outlive` in somebody's site-packages, and no file is lost on the way through the sdist."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"outlive", metadata.split("/")[0]}
    assert set(source_files()) <= names
    for essential in ("py.typed", "api/web/index.html", "shared/PROTOCOL.md", "shared/lua/append.lua"):
        assert f"outlive/{essential}" in names, essential
    assert not any("__pycache__" in name for name in names)
    for line in ("License-Expression: Apache-2.0", "Project-URL: Source, https://", "Provides-Extra: server"):
        assert line in about, line


def test_the_command_runs_where_the_current_folder_is_hostile(bin_folder: Path, hostile_folder: Path) -> None:
    """The console script never has the current folder on its path."""
    ran = subprocess.run([bin_folder / "outlive", "version"], cwd=hostile_folder, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, b"outlive 0.1.0\n"), ran.stderr


async def test_an_answer_passes_through_the_installed_commands(
    bin_folder: Path, hostile_folder: Path, redis_server: RedisServer
) -> None:
    """API processes, worker and demo model run there, and the worker finds the tools of the folder."""
    api_port, model_port = claim_port(), claim_port()
    environ = {
        "OUTLIVE_REDIS_URL": redis_server.url,
        "OUTLIVE_KEY_PREFIX": "ol-packaging",
        "OUTLIVE_TOOLS": "my_tools",
        "OUTLIVE_DRAIN_S": "1",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "OPENAI_API_KEY": "none",
    }
    processes = [
        Installed(bin_folder / "outlive", *arguments, folder=hostile_folder, environ=environ, ready=ready)
        for arguments, ready in (
            (("demo-model", "--port", str(model_port)), f"http://127.0.0.1:{model_port}/healthz"),
            (("worker",), "worker ready"),
            (("api", "--port", str(api_port), "--workers", "2"), f"http://127.0.0.1:{api_port}/readyz"),
        )
    ]
    try:
        for process in processes:
            process.spawn()
        for process in processes:
            await process.ready()
        response = await request(
            "POST",
            f"http://127.0.0.1:{api_port}/v1/generations",
            headers=[("Accept", "text/event-stream")],
            body=chat(demo(tools=1, pace_s=0), tools=[tool_named("greeting")]),
        )
        assert b"hello colorsys" in response.body
        assert b"event: completed" in response.body
    finally:
        await stop_all(*processes)
        release_port(api_port)
        release_port(model_port)


async def test_up_runs_where_the_current_folder_is_hostile(
    bin_folder: Path, hostile_folder: Path, redis_server: RedisServer
) -> None:
    """The processes that it starts do not have the current folder in front either."""
    port = claim_port()
    environ = {"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_KEY_PREFIX": "ol-up", "OUTLIVE_TOOLS": "my_tools"}
    arguments = ("up", "--port", str(port), "--api", "2")
    up = Installed(bin_folder / "outlive", *arguments, folder=hostile_folder, environ=environ, ready="Outlive is up")
    try:
        await up.start()
        await until(lambda: up.has_printed("worker ready"), 30.0, "a worker with the tools of the folder")
        assert "1 tools" in up.output()
    finally:
        await up.stop(within_s=20.0)
        release_port(port)
