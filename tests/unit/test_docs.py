"""Everything that a page of the documentation names exists: links, paths, settings, commands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from outlive.api.app import create_app
from outlive.shared.settings import PREFIX, Settings, load

ROOT: Final = Path(__file__).parents[2]
NOT_OURS: Final = frozenset({"node_modules", "dist", "vendor"})
PAGES: Final = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part in NOT_OURS or part.startswith(".") for part in page.relative_to(ROOT).parts)
)
FOLDERS: Final = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
SUFFIXES: Final = (".py", ".md", ".lua", ".yaml", ".conf", ".toml", ".js", ".acl", ".env")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_of(text: str) -> Iterator[str]:
    """What a page shows as code: fenced and indented blocks, and spans within a line."""
    fenced = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    yield from fenced.findall(text)
    prose = fenced.sub("", text)
    yield from re.findall(r"^    .+$", prose, re.MULTILINE)
    yield from spans_of(prose)


def spans_of(text: str) -> list[str]:
    """What stands between two backticks in one paragraph."""
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors_of(page: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_path(span: str) -> bool:
    """Whether a span of code can only mean a file or a folder of ours."""
    if re.search(r"[\s<>{}=:$]|\.\.\.", span):
        return False
    top, slash, _ = span.partition("/")
    return bool(slash) and (top in FOLDERS or span.endswith(SUFFIXES))


@each_page
def test_each_link_leads_somewhere(page: Path) -> None:
    """To a file or a folder of this repository, and to a heading if it names one."""
    text = page.read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors_of(linked), target


@each_page
def test_each_path_exists(page: Path) -> None:
    """Seen from the top of the repository, or from the page's own folder."""
    for span in filter(is_path, spans_of(page.read_text())):
        assert any(any(folder.glob(span.rstrip("/"))) for folder in (ROOT, page.parent)), span


@each_page
def test_each_setting_exists(page: Path) -> None:
    """An operator who copies a name from a page must not be refused at start."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", page.read_text())) <= known


@each_page
def test_each_make_target_exists(page: Path) -> None:
    """Of those that a page shows as code."""
    makefile = (ROOT / "Makefile").read_text()
    targets = {name for line in re.findall(r"^([a-z -]+):", makefile, re.MULTILINE) for name in line.split()}
    shown = {name for code in code_of(page.read_text()) for name in re.findall(r"\bmake ([a-z][a-z-]*)", code)}
    assert shown <= targets


@each_page
def test_each_module_that_a_page_runs_exists(page: Path) -> None:
    """`python -m tests.bench.scale` and the like."""
    shown = {
        name
        for code in code_of(page.read_text())
        for name in re.findall(r"\bpython -m ((?:outlive|tests)[\w.]*)", code)
    }
    for name in shown:
        path = ROOT / name.removeprefix("outlive.").replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


def test_every_route_of_the_openapi_document_is_on_its_page() -> None:
    """The page is what people read before they have an API running."""
    page = (ROOT / "docs" / "http.md").read_text()
    paths = create_app(load({})).openapi()["paths"]
    routes = [f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods]
    assert [route for route in routes if route not in page] == []


def test_every_page_of_docs_is_in_the_index() -> None:
    """A page that nobody can find is not documentation."""
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in index]
    assert missing == []


def test_readme_is_a_front_page() -> None:
    """Short enough to be read at once: at most 150 lines, and 900 words beside its examples."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).split()) <= 900
