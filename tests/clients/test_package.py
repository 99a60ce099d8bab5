"""The client as a package: its types are true, its declarations come from its code, its README and its hook work."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Final

import pytest

from tests.support import javascript
from tests.support.processes import ROOT
from tests.support.stack import Stack, demo

pytestmark = pytest.mark.anyio

WEB: Final = ROOT / "api" / "web"
TSC: Final = str(javascript.MODULES / "typescript" / "bin" / "tsc")


async def test_the_types_in_comments_are_true() -> None:
    """`tsc --checkJs` in strict mode accepts the client and the page."""
    await javascript.output([str(javascript.node()), TSC, "-p", str(javascript.CLIENTS)], within_s=110)


async def test_the_declarations_come_from_the_code(tmp_path: Path) -> None:
    """`make types` writes them, and would write what is committed."""
    project = str(javascript.CLIENTS / "tsconfig.types.json")
    await javascript.output([str(javascript.node()), TSC, "-p", project, "--outDir", str(tmp_path)], within_s=110)
    assert texts_in(tmp_path) == texts_in(WEB / "types")


def texts_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def install(project: Path) -> None:
    """Do what `npm install` would do, but without a registry."""
    modules = project / "node_modules"
    modules.mkdir()
    with tarfile.open(next(project.glob("outlive-*.tgz"))) as packed:
        packed.extractall(project, filter="data")
    (project / "package").rename(modules / "outlive")
    for name in ("react", "react-test-renderer"):
        (modules / name).symlink_to(javascript.MODULES / name)


def test_the_package_has_the_readme_licence_and_repository_of_its_source() -> None:
    """npm shows the README and packs the licence, which is the repository's own."""
    package = json.loads((WEB / "package.json").read_text())
    assert (WEB / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert (WEB / "README.md").read_text().startswith(f"# {package['name']}\n")
    assert package["repository"]["directory"] == "api/web"


async def test_the_example_of_its_readme_works(stack: Stack, project: Path) -> None:
    """Run as it is in a project that has installed the package, with the address of this stack."""
    [code] = re.findall(r"^```js\n(.*?)^```$", (WEB / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (project / "example.mjs").write_text(code.replace("http://127.0.0.1:8000", stack.urls[0]))
    output = await javascript.output([str(javascript.node()), "example.mjs"], cwd=project)
    assert "Why is the sea blue?" in output


@pytest.fixture
async def project(tmp_path: Path) -> Path:
    """The project of a user with the package as npm packs it, and with React."""
    await javascript.output(["npm", "pack", str(WEB), "--pack-destination", str(tmp_path)])
    install(tmp_path)
    return tmp_path


async def test_the_installed_hook_shows_one_answer_and_then_another(stack: Stack, project: Path) -> None:
    """In strict mode; nothing of the first answer is left in the second, and an unknown id is refused."""
    first = await stack.create(demo(pace_s=0.002, tokens=60))
    second = await stack.create(demo(pace_s=0.002, tokens=40, seed=2))
    script = str(shutil.copy(javascript.CLIENTS / "react.mjs", project))
    shown = await javascript.run(script, {"url": stack.urls[0], "first": first, "second": second})
    texts = [(await stack.snapshot(generation_id))["text"] for generation_id in (first, second)]

    assert shown["nothing"] == {"text": "", "status": "queued", "state": None, "code": None}
    assert (shown["one"]["text"], shown["page"], shown["one"]["status"]) == (texts[0], texts[0], "completed")
    assert shown["between"]["text"] == ""
    assert (shown["two"]["text"], shown["two"]["status"]) == (texts[1], "completed")
    assert shown["unknown"]["code"] == "not_found"
