"""Owns the wheel that the tests here install, and the environments they install it into."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import ROOT

UV: Final = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
BUILD_S: Final = 100.0


def run_uv(*arguments: str) -> None:
    """Fails with what uv printed."""
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environ["UV_PYTHON_DOWNLOADS"] = "never"
    ran = subprocess.run(
        [UV, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, as `python -m build` and package indexes do it: what the sdist lacks, it lacks."""
    folder = tmp_path_factory.mktemp("dist")
    run_uv("build", "--quiet", "--python", sys.executable, "--out-dir", str(folder))
    assert list(folder.glob("outlive-*.tar.gz"))
    (built,) = folder.glob("outlive-*.whl")
    return built


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Installs the wheel, with these extras and beside these requirements, into a new environment."""

    def installed(extras: str = "", *requirements: str) -> Path:
        environment = tmp_path_factory.mktemp("environment") / "venv"
        run_uv("venv", "--quiet", "--python", sys.executable, str(environment))
        outlive = f"outlive{extras} @ {wheel.as_uri()}"
        run_uv("pip", "install", "--quiet", "--python", str(environment / "bin/python"), outlive, *requirements)
        return environment / "bin"

    return installed
