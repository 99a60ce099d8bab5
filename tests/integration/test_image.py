"""deploy/Dockerfile without Docker: what it says, and what its build stage would make."""

import json
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import ROOT

RUN: Final = ("api", "worker", "model", "nginx")
"""The stages that become images."""

Line = tuple[str, str]
"""An instruction and what follows it."""


@cache
def stages() -> dict[str, list[Line]]:
    """Name of a stage -> its lines, those of the stages it is made from included."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: dict[str, list[Line]] = {}
    here: list[Line] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            here = stages[name] = list(stages.get(base, []))
        else:
            here.append((word, rest.strip()))
    return stages


def last(stage: str, word: str) -> str:
    """What holds in the end."""
    return [rest for instruction, rest in stages()[stage] if instruction == word][-1]


@pytest.mark.parametrize("stage", RUN)
def test_an_image_is_not_root_tells_its_health_and_hears_sigterm(stage: str) -> None:
    """By number, so that Kubernetes can tell; in exec form, so that no shell stands before the process."""
    uid = last(stage, "USER").split(":")[0]
    assert uid.isdecimal()
    assert uid != "0"
    assert isinstance(json.loads(last(stage, "ENTRYPOINT")), list)
    _, _, check = last(stage, "HEALTHCHECK").partition("CMD ")
    assert isinstance(json.loads(check), list)


@pytest.mark.parametrize("stage", RUN)
def test_no_tool_of_the_build_reaches_an_image(stage: str) -> None:
    """Neither uv nor a compiler is installed there, and pip is taken away."""
    runs = " ".join(rest for word, rest in stages()[stage] if word == "RUN")
    assert not {"uv", "gcc", "build-essential", "git"} & set(shlex.split(runs))
    assert "pip install" not in runs
    assert stage == "nginx" or "pip uninstall" in runs


def test_the_build_stage_makes_something_that_runs(tmp_path: Path) -> None:
    """Its COPY and uv lines are done in a directory of their own; what comes out is run outside of it."""
    uv = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
    source, environment = tmp_path / "src", tmp_path / "venv"
    source.mkdir()
    environ = dict(os.environ) | {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON_DOWNLOADS": "never"}
    environ.pop("VIRTUAL_ENV", None)
    for word, rest in stages()["build"]:
        if word == "COPY":
            *names, target = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / target)
                else:
                    shutil.copy(ROOT / name, source / target)
        elif word == "RUN" and rest.startswith("uv "):
            subprocess.run([uv, *rest.split()[1:], "--quiet"], cwd=source, env=environ, check=True, timeout=100)
    shutil.rmtree(source)

    # What is read beside the code comes along too: scripts for Redis, and the page.
    program = "import outlive.api.app, outlive.deploy.demo_model.http_app, outlive.worker.main;"
    program += "from importlib.resources import files;"
    program += "print(len([f for f in files('outlive.shared').joinpath('lua').iterdir() if f.name.endswith('.lua')]))"
    python = str(environment / "bin/python")
    ran = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == len(list((ROOT / "shared/lua").glob("*.lua")))
    for stage in ("api", "worker", "model"):
        command, *arguments = json.loads(last(stage, "ENTRYPOINT"))
        help_of_it = [str(environment / "bin" / command), *arguments, "--help"]
        assert subprocess.run(help_of_it, cwd=tmp_path, capture_output=True, check=False).returncode == 0, stage
    assert not (environment / "bin/ruff").exists()
